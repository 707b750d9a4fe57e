/** Keeps the process that checks members running, tells it what to check and hears what it found. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Log } from '../../lib/log.ts';
import { INNER_NAMESPACE } from '../network/namespace.ts';
import type { CheckChange, CheckWish } from './checker.ts';

export type Hear = (listenerId: string, memberId: string, isUp: boolean) => void;

export interface CheckerOptions {
  log: Log;
  /** The file that this process runs. */
  agentProgram: string;
  /** Where other programs are that checks need. */
  programs: string;
}

/** There is no process while there is nothing to check. */
export class CheckerProcess {
  readonly #options: CheckerOptions;
  readonly #hear: Hear;
  #child: ChildProcess | undefined;
  #told = '';

  constructor(options: CheckerOptions, hear: Hear) {
    this.#options = options;
    this.#hear = hear;
  }

  /** All that is to be checked from now on; checks that were wanted before go on undisturbed. */
  want(wishes: readonly CheckWish[]): void {
    if (wishes.length === 0) {
      this.close();
      return;
    }
    this.#child ??= this.#start();
    // What was found meanwhile is no news to who found it.
    const name = JSON.stringify(wishes.map(({ key, check }) => ({ key, check })));
    if (name === this.#told) return;
    this.#told = name;
    this.#child.stdin!.write(`${JSON.stringify(wishes)}\n`);
  }

  close(): void {
    this.#told = '';
    this.#child?.stdin?.end();
    this.#child = undefined;
  }

  #start(): ChildProcess {
    const { agentProgram, programs } = this.#options;
    const command = [process.execPath, agentProgram, 'check-members'];
    const child = spawn('ip', ['netns', 'exec', INNER_NAMESPACE, ...command], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, PATH: `${programs}:/usr/sbin:/usr/bin:/sbin:/bin` },
    });
    // A broken pipe is the end that is seen below.
    child.stdin.on('error', () => {});
    createInterface(child.stdout).on('line', line => {
      const { key, isUp } = JSON.parse(line) as CheckChange;
      const [listenerId, memberId] = key.split(' ') as [string, string];
      this.#hear(listenerId, memberId, isUp);
    });
    const ended = (how: unknown) => {
      if (this.#child !== child) return;
      // The next look starts another one.
      this.#options.log.error({ how: String(how) }, 'the process that checks members ended');
      this.#child = undefined;
      this.#told = '';
    };
    child.once('exit', ended);
    child.once('error', ended);
    return child;
  }
}
