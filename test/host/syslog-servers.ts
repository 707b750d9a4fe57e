/** Syslog servers in a namespace of a network of the system under test, and all that they were sent. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { MemberHost, type SubnetOfHost } from './member-host.ts';
import { until } from './until.ts';

const PROGRAM = join(import.meta.dirname, 'testdata/syslog.mjs');

export class SyslogServers implements AsyncDisposable {
  readonly #host: MemberHost;
  readonly #child: ChildProcess;
  readonly #said: { opened?: number; closed?: number; port?: number; text?: string }[] = [];

  private constructor(host: MemberHost) {
    this.#host = host;
    this.#child = spawn('ip', ['netns', 'exec', host.namespace, process.execPath, PROGRAM], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    createInterface(this.#child.stdout!).on('line', line => this.#said.push(JSON.parse(line)));
  }

  static async open(subnet: SubnetOfHost, address: string): Promise<SyslogServers> {
    return new SyslogServers(await MemberHost.open([subnet], [address]));
  }

  async listen(protocol: 'udp' | 'tcp', ...ports: number[]): Promise<void> {
    for (const port of ports)
      await this.#tell(
        { open: protocol, address: this.#host.addresses[0], port },
        said => said.opened === port,
      );
  }

  /** Connections break, and new ones are refused. */
  async close(...ports: number[]): Promise<void> {
    for (const port of ports) await this.#tell({ port }, said => said.closed === port);
  }

  /** Nobody answers at the address any more, not even with a refusal. */
  unplug(): void {
    this.#host.removeAddress(this.#host.addresses[0]!);
  }

  plug(): void {
    this.#host.addAddress(this.#host.addresses[0]!);
  }

  /** What came to the port so far. */
  sentTo(port: number): string[] {
    return this.#said.flatMap(said => (said.port === port ? [said.text!] : []));
  }

  /** Resolves with the first line at the port that has this in it. */
  async received(port: number, part: string): Promise<string> {
    return until(
      `${part} to come to port ${port}`,
      () => this.sentTo(port).find(text => text.includes(part)),
      () => this.#said.slice(-5),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null) {
      this.#child.kill('SIGKILL');
      await once(this.#child, 'exit');
    }
    await this.#host[Symbol.asyncDispose]();
  }

  async #tell(
    command: object,
    isDone: (said: { opened?: number; closed?: number }) => boolean,
  ): Promise<void> {
    const before = this.#said.length;
    this.#child.stdin!.write(`${JSON.stringify(command)}\n`);
    await until(JSON.stringify(command), () => this.#said.slice(before).some(isDone));
  }
}
