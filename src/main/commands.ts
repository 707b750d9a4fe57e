/** What `ottavia` understands: the system itself, whole (`standalone`) or by its programs, what is left of it (`leftovers`), its settings (`config`), and its client (everything else). */
import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { CliError } from '../cli/cli-error.ts';
import type { StandaloneOptions } from './standalone.ts';

const CONFIG_FILE = [
  '--config-file <path>',
  'A file in the form of octavia.conf (repeat for more)',
  (path: string, before?: string[]) => [...(before ?? []), path],
] as const;

/** They share a database, and a broker if there is one; of each there may be any number. */
const PROGRAMS = [
  ['api', 'serves the API'],
  ['worker', 'makes load balancers real'],
  ['health-manager', 'receives heartbeats and looks for silent amphorae'],
  ['housekeeping', 'purges rows, renews certificates, keeps spare amphorae and delivers events'],
] as const;
const NO_CLIENT = ['standalone', 'leftovers', 'config', ...PROGRAMS.map(([kind]) => kind)];

/** Runs one command line; returns the exit code. */
export async function runCommand(argv: readonly string[]): Promise<number> {
  const program = new Command();
  program
    .name('ottavia')
    .description('OpenStack Octavia, load balancing as a service, in TypeScript')
    .version(readVersion())
    .showHelpAfterError('(ottavia --help tells what there is)')
    .exitOverride();
  let exitCode = 0;
  program
    .command('standalone')
    .description('Run the whole system in this process; SIGTERM stops it and leaves the traffic running')
    .option('--data-dir <path>', 'Where it keeps everything', './var')
    .option('--listen <address:port>', 'Where the API listens (127.0.0.1:9876 unless told)')
    .option(...CONFIG_FILE)
    .addOption(
      new Option('--drivers <kind>', 'noop: everything but amphorae; needs no root').choices(['noop']),
    )
    .option('--purge', 'Remove everything that the system on this data directory ever made')
    .action(async (options: StandaloneOptions) => {
      const { runStandalone } = await import('./standalone.ts');
      exitCode = await runStandalone(options);
    });
  for (const [kind, does] of PROGRAMS)
    program
      .command(kind)
      .description(`Run the program of many that ${does}; SIGTERM stops it`)
      .option(...CONFIG_FILE)
      .action(async (options: { configFile?: string[] }) => {
        const { runProgram } = await import('./program.ts');
        exitCode = await runProgram(kind, options);
      });
  program
    .command('leftovers')
    .description('Show which instances and ports of a standalone system nobody owns any more')
    .option('--data-dir <path>', 'Where it keeps everything', './var')
    .option(...CONFIG_FILE)
    .action(async (options: StandaloneOptions) => {
      const { runLeftovers } = await import('./leftovers.ts');
      exitCode = await runLeftovers(options);
    });
  program
    .command('config')
    .description('Settings')
    .command('sample')
    .description('Print a configuration file with every setting, its sentence and its default')
    .action(async () => {
      const { renderSample } = await import('./sample.ts');
      process.stdout.write(renderSample());
    });

  try {
    // The system itself does not load its client, nor the other way round.
    if (!NO_CLIENT.includes(argv[2] ?? '')) {
      const { addClientCommands } = await import('../cli/program.ts');
      addClientCommands(program, {
        out: process.stdout,
        err: process.stderr,
        environment: process.env,
        cwd: process.cwd(),
      });
    }
    await program.parseAsync(argv);
    return exitCode;
  } catch (error) {
    // commander has printed its own words already.
    if (error instanceof CommanderError) return error.exitCode;
    if (!(error instanceof CliError)) throw error;
    process.stderr.write(`${error.message}\n`);
    if (error.requestId !== undefined) process.stderr.write(`Request id: ${error.requestId}\n`);
    return 1;
  }
}

function readVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
