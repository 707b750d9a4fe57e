/** The real program as a child process, for tests of how it starts, fails and ends. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { join } from 'node:path';

const PROGRAM = join(import.meta.dirname, '../src/main/ottavia.ts');
const LIMIT_MS = 60_000;

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

const running = new Set<ChildProcess>();

/** For the end of a test file: what a test that failed left running. */
export function endOttaviaProcesses(): void {
  for (const child of running) child.kill('SIGKILL');
}

export class OttaviaProcess {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly ended: Promise<Ended>;

  /** `prefix` is a command that runs the program, such as `unshare --mount`; `program` is another one that behaves like it. */
  constructor(
    args: readonly string[],
    options: SpawnOptions & { prefix?: readonly string[]; program?: string } = {},
  ) {
    const { prefix = [], program: file = PROGRAM, ...rest } = options;
    const [program, ...before] = [...prefix, process.execPath];
    this.child = spawn(program!, [...before, file, ...args], { stdio: 'pipe', ...rest });
    this.child.stdout!.on('data', chunk => {
      this.stdout += chunk;
    });
    this.child.stderr!.on('data', chunk => {
      this.stderr += chunk;
    });
    running.add(this.child);
    this.child.once('exit', () => running.delete(this.child));
    this.ended = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', code => resolve({ code, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  /** Resolves with the URL once requests are served; rejects when the program ends before. */
  async ready(): Promise<string> {
    const served = new Promise<string>(resolve => {
      const look = () => {
        const url = /^Ottavia listens on (\S+);/m.exec(this.stdout)?.[1];
        if (url && this.stderr.includes('"msg":"ready"')) resolve(url);
      };
      this.child.stdout!.on('data', look);
      this.child.stderr!.on('data', look);
    });
    const early = this.ended.then(({ code, stderr }) => {
      throw new Error(`It ended with ${code} before it was ready: ${stderr}`);
    });
    return within('to be ready', this, Promise.race([served, early]));
  }

  /** Sends the signal and returns when the program has ended. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    this.child.kill(signal);
    return within('to end', this, this.ended);
  }
}

/** Runs to the end. */
export async function runOttavia(
  args: readonly string[],
  options: SpawnOptions & { prefix?: readonly string[] } = {},
): Promise<Ended> {
  const program = new OttaviaProcess(args, options);
  return within('to end', program, program.ended);
}

/** What it comes to; a program that takes too long is killed. */
async function within<T>(what: string, program: OttaviaProcess, outcome: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    program.child.kill('SIGKILL');
    reject(new Error(`It took longer than ${LIMIT_MS} ms ${what}: ${program.stderr}`));
  }, LIMIT_MS);
  try {
    return await Promise.race([outcome, late]);
  } finally {
    clearTimeout(timer);
  }
}
