/** The commands of the `ottavia` CLI that talk to a running system: it is an HTTP client like any other. */
import { type Command, Option } from 'commander';
import { Client } from './client.ts';
import { findCloud } from './cloud.ts';
import { healthMonitor } from './nouns/health-monitor.ts';
import { listener } from './nouns/listener.ts';
import { loadBalancer } from './nouns/load-balancer.ts';
import { member } from './nouns/member.ts';
import { pool } from './nouns/pool.ts';
import type { Terminal } from './output.ts';
import { findOne } from './resolve.ts';
import { listGraph, renderTree } from './tree.ts';
import { addNoun, type Context } from './verbs.ts';

const NOUNS = [loadBalancer, listener, pool, member, healthMonitor];

/** Adds every noun and `tree`; nothing is connected to before a command runs. */
export function addClientCommands(program: Command, terminal: Terminal): void {
  program.option('--os-cloud <name>', 'The cloud of clouds.yaml to talk to');
  const context: Context = {
    terminal,
    connect() {
      const { osCloud } = program.opts<{ osCloud?: string }>();
      return new Client(findCloud({ environment: terminal.environment, cwd: terminal.cwd, cloud: osCloud }));
    },
  };
  for (const noun of NOUNS) addNoun(program, noun, context);
  program
    .command('tree <loadbalancer>')
    .description('Show a load balancer with everything under it, and both statuses of each')
    .addOption(new Option('-o, --output <format>', 'tree or json').choices(['tree', 'json']).default('tree'))
    .action(async (text: string, given: { output: 'tree' | 'json' }) => {
      const client = context.connect();
      const search = (query: Record<string, string | readonly string[] | undefined>) =>
        client.list('lbaas/loadbalancers', 'loadbalancers', query);
      const graph = await listGraph(client, await findOne('load balancer', text, search));
      const rendered =
        given.output === 'json' ? `${JSON.stringify(graph, null, 2)}\n` : renderTree(graph, terminal.out);
      terminal.out.write(rendered);
    });
}
