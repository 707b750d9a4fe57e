/** The programs of one installation as processes that a test kills, halts and sets the clocks of; a supervisor starts them again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import type { ProgramKind } from '../../src/main/program-checks.ts';
import { onLines } from './link.ts';

const PROGRAM = join(import.meta.dirname, 'program.ts');
const RESTART_MS = 300;
const STOP_LIMIT_MS = 15_000;
const PRIORITY = 10;

export interface LogLine {
  level: number;
  msg: string;
  reason?: string;
  load_balancer_id?: string;
  fence?: number;
  amphora_id?: string;
}

interface Supervision {
  /** Where the cloud listens. */
  socket: string;
  /** Where the logs go. */
  directory: string;
  onLine(program: string, line: LogLine): void;
}

export interface ProgramSpec {
  kind: ProgramKind;
  name: string;
  configFile: string;
}

export class SupervisedProgram {
  readonly kind: ProgramKind;
  readonly name: string;
  /** It serves, and is neither halted nor on its way down. */
  isReady = false;
  isHalted = false;
  /** Exit codes of ends that nobody asked for, after it was ready. */
  readonly crashes: string[] = [];
  starts = 0;
  #child: ChildProcess | undefined;
  #wanted = true;
  #restart: NodeJS.Timeout | undefined;
  readonly #spec: ProgramSpec;
  readonly #log: WriteStream;
  readonly #options: Supervision;

  constructor(spec: ProgramSpec, options: Supervision) {
    this.#spec = spec;
    this.kind = spec.kind;
    this.name = spec.name;
    this.#options = options;
    this.#log = createWriteStream(join(options.directory, `${spec.name}.log`));
    this.#start();
  }

  #start(): void {
    const { kind, name, configFile } = this.#spec;
    const seed = String(this.starts++);
    const args = [PROGRAM, kind, this.#options.socket, name, seed, configFile];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    // Tests that run beside this one have limits of seconds; here everything is waited for.
    if (child.pid !== undefined) setPriority(child.pid, PRIORITY);
    onLines(child.stderr!, text => {
      this.#log.write(`${text}\n`);
      if (!text.startsWith('{')) return;
      const line = JSON.parse(text) as LogLine;
      // Of one that was killed the last lines may come after its end.
      if (line.msg.startsWith('ready')) this.isReady = child.exitCode === null && child.signalCode === null;
      this.#options.onLine(name, line);
    });
    child.once('exit', (code, signal) => {
      if (this.isReady && this.#wanted && signal !== 'SIGKILL')
        this.crashes.push(`${name} ended with ${code ?? signal}`);
      this.isReady = false;
      this.isHalted = false;
      this.#log.write(`--- ended with ${code ?? signal}\n`);
      if (this.#wanted) this.#restart = setTimeout(() => this.#start(), RESTART_MS);
    });
  }

  kill(): void {
    this.isReady = false;
    this.#child!.kill('SIGKILL');
  }

  halt(): void {
    this.isHalted = true;
    this.#child!.kill('SIGSTOP');
  }

  goOn(): void {
    this.isHalted = false;
    this.#child!.kill('SIGCONT');
  }

  /** Ends it for good, gently. */
  async stop(): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#restart);
    const child = this.#child!;
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise(resolve => child.once('exit', resolve));
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      const limit = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
      await gone;
      clearTimeout(limit);
    }
    this.#log.end();
  }
}
