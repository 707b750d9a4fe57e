/** What a soak's clients do all the time: each work checks every byte of what it gets, and goes on after a failure. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from './http-client.ts';

const LIMIT_MS = 60_000;
const CHUNK_BYTES = 1000;

/** One work, done again and again until it is stopped. */
export class Lane {
  readonly name: string;
  readonly failures: string[] = [];
  done = 0;
  bytes = 0;
  #stopped = false;
  readonly #ended: Promise<void>;

  /** `work` resolves to how many bytes it has checked. */
  constructor(name: string, work: () => Promise<number>) {
    this.name = name;
    this.#ended = this.#run(work);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#ended;
  }

  async #run(work: () => Promise<number>): Promise<void> {
    while (!this.#stopped) {
      try {
        this.bytes += await work();
        this.done++;
      } catch (error) {
        this.failures.push(`${new Date().toISOString()} ${this.name}: ${(error as Error).message}`);
        await sleep(100);
      }
    }
  }
}

/** A download of so many thousands of bytes, each so many milliseconds after the one before. */
export async function download(url: string, chunks: number, pauseMs: number): Promise<number> {
  const { status, body } = await ask(`${url}/stream/${chunks}/${pauseMs}`, { limitMs: LIMIT_MS });
  const whole = Array.from({ length: chunks }, (_, i) => String(i % 10).repeat(CHUNK_BYTES)).join('');
  if (status !== 200 || body !== whole)
    throw new Error(`a download of ${chunks} chunks came to ${status} with ${body.length} wrong characters`);
  return body.length;
}

/** A TCP connection to a member that gives back what it is sent, one block after the other. */
export async function echo(host: string, port: number, blocks: number, pauseMs: number): Promise<number> {
  const socket = connect({ host, port });
  const limit = setTimeout(() => socket.destroy(new Error(`no end within ${LIMIT_MS} ms`)), LIMIT_MS);
  try {
    const received = socket[Symbol.asyncIterator]();
    let bytes = Buffer.alloc(0);
    const take = async (count: number) => {
      while (bytes.length < count) {
        const { value, done } = await received.next();
        if (done) throw new Error(`the connection ended ${count - bytes.length} bytes too early`);
        bytes = Buffer.concat([bytes, value as Buffer]);
      }
      const taken = bytes.subarray(0, count);
      bytes = bytes.subarray(count);
      return taken;
    };
    // Its name comes first.
    while ((await take(1))[0] !== 0x0a);
    let total = 0;
    for (let i = 0; i < blocks; i++) {
      const sent = randomBytes(1 + ((i * 977) % 8000));
      socket.write(sent);
      const got = await take(sent.length);
      if (!got.equals(sent)) throw new Error(`block ${i} came back as ${got.length} other bytes`);
      total += sent.length;
      await sleep(pauseMs);
    }
    socket.end();
    return total;
  } finally {
    clearTimeout(limit);
    socket.destroy();
  }
}

/** A WebSocket whose messages come back, one after the other, and which ends as both sides want it. */
export async function talk(url: string, messages: number, pauseMs: number): Promise<number> {
  const socket = new WebSocket(url);
  const signal = AbortSignal.timeout(LIMIT_MS);
  const ended = once(socket, 'close', { signal });
  const cut = ended.then(([{ code }]) => {
    throw new Error(`the WebSocket was closed with ${code}`);
  });
  // Its end is looked at below; between two messages nobody waits for it.
  cut.catch(() => undefined);
  const next = <T>(event: string) => Promise.race([once(socket, event, { signal }), cut]) as Promise<T>;
  let total = 0;
  try {
    await next('open');
    for (let i = 0; i < messages; i++) {
      const text = createHash('sha256')
        .update(`${url} ${i}`)
        .digest('hex')
        .repeat(1 + (i % 30));
      const reply = next<[{ data: string }]>('message');
      socket.send(text);
      const [{ data }] = await reply;
      if (data !== text) throw new Error(`message ${i} came back as ${data.length} other characters`);
      total += text.length;
      await sleep(pauseMs);
    }
    socket.close();
    await ended;
    return total;
  } finally {
    socket.close();
  }
}
