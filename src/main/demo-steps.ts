/** The tools of the demo: a line per step with its duration, waiting with a limit, requests through the VIP. */
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { styleText } from 'node:util';
import type { Client, Resource } from '../cli/client.ts';
import type { Node } from '../cli/tree.ts';

const STEP_LIMIT_MS = 60_000;
const POLL_MS = 50;
const REQUEST_LIMIT_MS = 5000;

export const out = process.stdout;

/** Aborts at the first Ctrl-C or SIGTERM: no step begins after that. */
export const interrupted = new AbortController();

/** Runs one step and prints a line with what it came to and what it took. */
export async function step<T>(title: string, run: () => Promise<[T, string]>): Promise<T> {
  interrupted.signal.throwIfAborted();
  const startedMs = Date.now();
  if (out.isTTY) out.write(`  … ${title}`);
  try {
    const [result, remark] = await run();
    const line = `  ${styleText('green', '✔')} ${title.padEnd(52)} ${seconds(Date.now() - startedMs).padStart(8)}`;
    out.write(`${out.isTTY ? '\r\x1b[2K' : ''}${line}   ${styleText('dim', remark)}\n`);
    return result;
  } catch (cause) {
    const line = `  ${styleText('red', '✘')} ${title.padEnd(52)} ${seconds(Date.now() - startedMs).padStart(8)}`;
    out.write(`${out.isTTY ? '\r\x1b[2K' : ''}${line}\n`);
    throw new Error(`Cannot ${title}`, { cause });
  }
}

/** Asks until there is an answer that counts. */
export async function until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + STEP_LIMIT_MS;
  for (;;) {
    interrupted.signal.throwIfAborted();
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited ${STEP_LIMIT_MS / 1000} s for ${what}`);
    await sleep(POLL_MS);
  }
}

export function request(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = get(url, { agent: false, timeout: REQUEST_LIMIT_MS }, response => {
      let text = '';
      response.setEncoding('utf8').on('data', chunk => {
        text += chunk;
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve(text.trim());
        else reject(new Error(`${url} answered ${response.statusCode}`));
      });
      response.on('error', reject);
    });
    asked.on('timeout', () =>
      asked.destroy(new Error(`${url} did not answer within ${REQUEST_LIMIT_MS} ms`)),
    );
    asked.on('error', reject);
  });
}

export async function getLb(client: Client, id: string): Promise<Resource> {
  const answer = (await client.request('GET', `lbaas/loadbalancers/${id}`)) as { loadbalancer: Resource };
  return answer.loadbalancer;
}

export const flatten = (node: Node): Node[] => [node, ...node.children.flatMap(flatten)];
export const isMember = (node: Node): boolean => node.label.startsWith('member ');
export const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
