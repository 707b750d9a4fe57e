/** Waits until a change is made real, and shows meanwhile what is waited for. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from './cli-error.ts';
import type { Client, Resource } from './client.ts';
import type { Terminal } from './output.ts';
import { listGraph, type Node } from './tree.ts';

const POLL_MS = 150;

/** One line that is written over on a terminal, and one line per change elsewhere. */
export class Progress {
  readonly #stream: NodeJS.WritableStream;
  readonly #startedMs = Date.now();
  #last = '';

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
  }

  show(text: string): void {
    const isTty = (this.#stream as NodeJS.WriteStream).isTTY === true;
    const seconds = ((Date.now() - this.#startedMs) / 1000).toFixed(1);
    if (isTty) {
      const width = (this.#stream as NodeJS.WriteStream).columns ?? 80;
      this.#stream.write(`\r\x1b[2K${`${seconds.padStart(5)} s  ${text}`.slice(0, width - 1)}`);
    } else if (text !== this.#last) this.#stream.write(`${seconds.padStart(5)} s  ${text}\n`);
    this.#last = text;
  }

  end(): void {
    if (this.#last !== '' && (this.#stream as NodeJS.WriteStream).isTTY) this.#stream.write('\n');
  }
}

export interface WaitOptions {
  terminal: Terminal;
  timeoutMs: number;
}

/** Returns when the load balancer is ACTIVE; throws when it is ERROR, gone, or the time is over. */
export async function waitForActive(client: Client, lbId: string, options: WaitOptions): Promise<void> {
  await poll(options, `load balancer ${lbId} to be ACTIVE`, async progress => {
    const [lb] = await client.list('lbaas/loadbalancers', { id: lbId });
    if (!lb) throw new CliError(`Cannot wait for load balancer ${lbId}: it is gone`);
    const status = String(lb.provisioning_status);
    if (status === 'ACTIVE') {
      progress.show(`load balancer ${nameOf(lb)} is ACTIVE`);
      return true;
    }
    const tree = await listGraph(client, lb);
    if (status === 'ERROR') {
      const failed = flatten(tree).filter(node => node.provisioning_status === 'ERROR');
      throw new CliError(
        `${failed.map(node => node.label).join(', ')}: provisioning status ERROR${reasonOf(lb)}`,
      );
    }
    const pending = flatten(tree)
      .slice(1)
      .filter(node => node.provisioning_status.startsWith('PENDING_'))
      .map(node => `${node.label} (${node.provisioning_status})`);
    const what = pending.length > 0 ? `, waiting for ${pending.join(', ')}` : ', waiting for its amphora';
    progress.show(`load balancer ${nameOf(lb)} is ${status}${what}${reasonOf(lb)}`);
    return false;
  });
}

/** Returns when the object is gone; throws when it is ERROR, or the time is over. */
export async function waitUntilGone(
  client: Client,
  path: string,
  label: string,
  options: WaitOptions,
): Promise<void> {
  await poll(options, `${label} to be gone`, async progress => {
    let body: unknown;
    try {
      body = await client.request('GET', path);
    } catch (error) {
      if (error instanceof CliError && error.httpStatus === 404) {
        progress.show(`${label} is gone`);
        return true;
      }
      throw error;
    }
    const [row] = Object.values(body as Record<string, Resource>);
    // An amphora has a status of its own kind.
    const status = String(row?.provisioning_status ?? row?.status);
    if (status === 'DELETED') return true;
    if (status === 'ERROR') throw new CliError(`${label}: provisioning status ERROR${reasonOf(row!)}`);
    progress.show(`${label} is ${status}`);
    return false;
  });
}

async function poll(
  { terminal, timeoutMs }: WaitOptions,
  goal: string,
  look: (progress: Progress) => Promise<boolean>,
): Promise<void> {
  const progress = new Progress(terminal.err);
  const deadline = Date.now() + timeoutMs;
  try {
    while (!(await look(progress))) {
      if (Date.now() > deadline)
        throw new CliError(`Gave up waiting for ${goal} after ${timeoutMs / 1000} s; it goes on without us`);
      await sleep(POLL_MS);
    }
  } finally {
    progress.end();
  }
}

function flatten(node: Node): Node[] {
  return [node, ...node.children.flatMap(flatten)];
}

export function nameOf(resource: Resource): string {
  return resource.name ? String(resource.name) : resource.id;
}

/** Why the last attempt failed, where the server tells. */
function reasonOf(lb: Resource): string {
  return typeof lb.error_reason === 'string' && lb.error_reason !== '' ? `: ${lb.error_reason}` : '';
}
