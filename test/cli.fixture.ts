/** The CLI in this process, against a whole system on noop drivers. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { Command } from 'commander';
import { addClientCommands } from '../src/cli/program.ts';
import { silentLog } from '../src/lib/log.ts';
import { type StandaloneOptions, startStandalone } from '../src/main/standalone.ts';

export class Sink extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

export interface Printed {
  out: string;
  err: string;
}

export async function startCli(options: Partial<StandaloneOptions> = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), 'ottavia-cli-'));
  const standalone = await startStandalone(
    { dataDir, listen: '127.0.0.1:0', drivers: 'noop', ...options },
    silentLog,
  );
  const ran = new Set<string>();

  /** Runs a command line as a shell would split it; single quotes hold a word together. */
  async function ottavia(
    line: string,
    environment: NodeJS.ProcessEnv = {},
    out = new Sink(),
  ): Promise<Printed> {
    const err = new Sink();
    const clouds = { OS_CLIENT_CONFIG_FILE: join(dataDir, 'clouds.yaml') };
    const program = programOf(out, err, { ...clouds, ...environment }, dataDir);
    program.hook('preAction', (_, command) => void ran.add(nameOf(command)));
    const words = (line.match(/(?:'[^']*'|\S)+/g) ?? []).map(word => word.replaceAll("'", ''));
    await program.parseAsync(words, { from: 'user' });
    return { out: out.text, err: err.text };
  }

  return {
    dataDir,
    standalone,
    ottavia,
    json: async (line: string) => JSON.parse((await ottavia(`${line} -f json`)).out),
    /** One line for each row, its values apart by blanks. */
    values: async (line: string) =>
      (await ottavia(`${line} -f value`)).out.split('\n').filter(row => row !== ''),
    /** Commands that exist and were not run. */
    listUntried: () =>
      leavesOf(programOf(new Sink(), new Sink(), {}, dataDir))
        .map(nameOf)
        .filter(name => !ran.has(name)),
    async stop() {
      await standalone.stop();
      await rm(dataDir, { recursive: true });
    },
  };
}

export type Cli = Awaited<ReturnType<typeof startCli>>;

function programOf(out: Sink, err: Sink, environment: NodeJS.ProcessEnv, cwd: string): Command {
  const program = new Command()
    .version('1.2.3')
    .exitOverride()
    .configureOutput({
      writeOut: text => out.write(text),
      writeErr: text => err.write(text),
    });
  addClientCommands(program, { out, err, cwd, environment });
  program.commands.forEach(function inherit(command: Command) {
    command.copyInheritedSettings(program);
    command.commands.forEach(inherit);
  });
  return program;
}

const leavesOf = (command: Command): Command[] =>
  command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);

const nameOf = (command: Command): string =>
  command.parent ? `${nameOf(command.parent)} ${command.name()}`.trim() : '';
