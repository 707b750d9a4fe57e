/** Runs another program with a time limit; a failure says what was run, how it ended and what it printed. */
import { spawn } from 'node:child_process';

export interface RunOptions {
  /** Written to the program's standard input, which is then closed. */
  input?: string;
  /** 30 s unless told. The program is killed when it is used up. */
  timeoutMs?: number;
  signal?: AbortSignal;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

export interface Output {
  stdout: string;
  stderr: string;
}

/** A program that did not end with exit code 0. */
export class CommandError extends Error {
  readonly program: string;
  readonly args: readonly string[];
  /** null when it could not be started or a signal ended it. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  constructor(
    sentence: string,
    facts: { program: string; args: readonly string[]; exitCode: number | null } & Output,
    options?: ErrorOptions,
  ) {
    super(sentence, options);
    this.name = 'CommandError';
    this.program = facts.program;
    this.args = facts.args;
    this.exitCode = facts.exitCode;
    this.stdout = facts.stdout;
    this.stderr = facts.stderr;
  }
}

const OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024;
const OUTPUT_IN_ERROR_CHARACTERS = 4000;
/** How long output is awaited after the program itself has ended: a daemon it left behind may hold the pipe for ever. */
const DRAIN_MS = 200;

/** Resolves with the output when the program ends with 0; throws `CommandError` otherwise. Nothing goes through a shell. */
export function run(program: string, args: string[], options: RunOptions = {}): Promise<Output> {
  const timeoutMs = options.timeoutMs ?? 30_000;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: options.env ?? process.env,
      cwd: options.cwd,
    });
    const chunks: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] };
    let bytes = 0;
    let ended = false;
    let reason: string | undefined;
    const kill = (why: string) => {
      reason ??= why;
      child.kill('SIGKILL');
    };
    const timer = setTimeout(() => kill(`took longer than ${timeoutMs} ms`), timeoutMs);
    const onAbort = () => kill('was aborted');
    options.signal?.addEventListener('abort', onAbort, { once: true });
    if (options.signal?.aborted) onAbort();

    const collect = (into: Buffer[]) => (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > OUTPUT_LIMIT_BYTES) kill('printed too much');
      else into.push(chunk);
    };
    child.stdout!.on('data', collect(chunks.stdout));
    child.stderr!.on('data', collect(chunks.stderr));

    const finish = (exitCode: number | null, how: string, cause?: unknown) => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      child.stdout?.destroy();
      child.stderr?.destroy();
      const stdout = Buffer.concat(chunks.stdout).toString('utf8');
      const stderr = Buffer.concat(chunks.stderr).toString('utf8');
      if (exitCode === 0 && reason === undefined) {
        resolve({ stdout, stderr });
        return;
      }
      const words = `${stderr}${stdout}`.trim().slice(0, OUTPUT_IN_ERROR_CHARACTERS);
      const sentence = `Cannot run ${[program, ...args].join(' ')}: ${reason ?? how}${words === '' ? '' : `: ${words}`}`;
      reject(new CommandError(sentence, { program, args, exitCode, stdout, stderr }, { cause }));
    };
    child.on('error', error => finish(null, error.message, error));
    child.on('close', (code, signal) =>
      finish(code, code === null ? `ended by ${signal}` : `exit code ${code}`),
    );
    child.on('exit', (code, signal) => {
      setTimeout(
        () => finish(code, code === null ? `ended by ${signal}` : `exit code ${code}`),
        DRAIN_MS,
      ).unref();
    });
    if (options.input !== undefined) {
      // A program that ends without reading its input is judged by its exit code, not by the broken pipe.
      child.stdin!.on('error', () => {});
      child.stdin!.end(options.input);
    }
  });
}
