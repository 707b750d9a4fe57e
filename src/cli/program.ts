/** The commands of the `ottavia` CLI that talk to a running system: it is an HTTP client like any other. */
import { Argument, type Command, Option } from 'commander';
import { Client } from './client.ts';
import { findCloud } from './cloud.ts';
import { printOne, runAndPrint } from './command.ts';
import { listCandidates, SCRIPTS } from './completion.ts';
import { addLogs } from './logs.ts';
import type { Context } from './noun.ts';
import { cloudNouns } from './nouns/cloud.ts';
import { healthMonitor } from './nouns/health-monitor.ts';
import { l7policy, l7rule } from './nouns/l7.ts';
import { listener } from './nouns/listener.ts';
import { loadBalancer } from './nouns/load-balancer.ts';
import { member } from './nouns/member.ts';
import { operatorNouns } from './nouns/operators.ts';
import { pool } from './nouns/pool.ts';
import { secretNouns } from './nouns/secrets.ts';
import { renderData, type Terminal } from './output.ts';
import { findOne } from './resolve.ts';
import { listGraph, renderTree } from './tree.ts';
import { addNoun } from './verbs.ts';

const BALANCING = [loadBalancer, listener, pool, member, healthMonitor, l7policy, l7rule];
const NOUNS = [...BALANCING, ...operatorNouns, ...cloudNouns, ...secretNouns];

/** Adds every noun and the tools; nothing is connected to before a command runs. */
export function addClientCommands(program: Command, terminal: Terminal): void {
  program.option('--os-cloud <name>', 'The cloud of clouds.yaml to talk to');
  const connect = (timeoutMs?: number, cloud = program.opts<{ osCloud?: string }>().osCloud) =>
    new Client(findCloud({ environment: terminal.environment, cwd: terminal.cwd, cloud }), timeoutMs);
  const context: Context = { terminal, connect };

  program
    .commandsGroup('Load balancing:')
    .command('tree <loadbalancer>')
    .description('Show a load balancer with everything under it, and both statuses of each')
    .addOption(
      new Option('-f, --format <format>', 'How it is printed')
        .choices(['tree', 'json', 'yaml'])
        .default('tree'),
    )
    .action(async (text: string, given: { format: string }) => {
      const client = connect();
      const graph = await listGraph(client, (await findOne(client, 'loadbalancer', text)).row);
      terminal.out.write(renderData(graph, given.format) ?? renderTree(graph, terminal.out));
    });
  addLogs(program, context, connect);
  for (const noun of NOUNS) addNoun(program, noun, context);

  const version = program
    .commandsGroup('Tools:')
    .command('version')
    .description('Show the versions of this client and of the API');
  runAndPrint(version, async (_, given) => {
    const { endpoint, versions } = await connect().listVersions();
    const current = versions.find(({ status }) => status === 'CURRENT') ?? versions.at(-1);
    printOne(context, { client: program.version() ?? '', api: current?.id ?? '', endpoint }, given);
  });
  program
    .command('completion')
    .description('Print the script that makes a shell complete commands, options, names and ids')
    .addArgument(new Argument('<shell>', 'Which shell').choices(Object.keys(SCRIPTS)))
    .action((shell: string) => void terminal.out.write(SCRIPTS[shell]!));
  program.command('complete [words...]', { hidden: true }).action(async (words: string[]) => {
    for (const line of await listCandidates(program, words, connect)) terminal.out.write(`${line}\n`);
  });
}
