/** The unmodified Python clients of OpenStack, as Debian ships them; one process per client, since each takes a second to start. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

const CLIENTS = {
  openstack: ['openstackclient.shell', 'main'],
  neutron: ['neutronclient.shell', 'main'],
} as const;

/** Why a client cannot be tried here, or undefined when it can: the modules that Debian's Python lacks. */
export function clientObstacle(...modules: string[]): string | undefined {
  const { status } = spawnSync('/usr/bin/python3', ['-c', `import ${modules.join(', ')}`]);
  return status === 0
    ? undefined
    : `needs Debian's Python modules ${modules.join(', ')}, which scripts/setup --tests installs`;
}

export class PythonClient {
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #name: string;
  #turn: Promise<unknown> = Promise.resolve();

  /** `environment` holds the OS_* variables that tell it where the cloud is and who asks. */
  constructor(client: keyof typeof CLIENTS, environment: NodeJS.ProcessEnv) {
    this.#name = client;
    const { PATH, HOME } = process.env;
    this.#process = spawn(
      '/usr/bin/python3',
      ['-W', 'ignore', join(import.meta.dirname, 'python-client.py'), ...CLIENTS[client]],
      { env: { PATH, HOME, COLUMNS: '200', ...environment }, stdio: ['pipe', 'pipe', 'inherit'] },
    );
    this.#answers = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]();
  }

  /** Runs one command line and tells how it ended; whoever calls meanwhile waits for his turn. */
  try(...args: string[]): Promise<Ran> {
    const ran = this.#turn.then(async () => {
      this.#process.stdin!.write(`${JSON.stringify(args)}\n`);
      const { value, done } = await this.#answers.next();
      if (done) throw new Error(`${this.#name} ended while it ran: ${args.join(' ')}`);
      return JSON.parse(value) as Ran;
    });
    this.#turn = ran.catch(() => undefined); // Told to the one who asked.
    return ran;
  }

  /** Its standard output. Throws with all it said when it fails. */
  async run(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(...args);
    if (code !== 0) throw new Error(`${this.#name} ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /** What it prints with `-f json`. */
  async json<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    return JSON.parse(await this.run(...args, '-f', 'json')) as T;
  }

  async close(): Promise<void> {
    const ended = new Promise(resolve => this.#process.once('exit', resolve));
    this.#process.stdin!.end();
    await ended;
  }
}
