/** Who belongs to which server, handed from one haproxy process to the next: the new one takes clients once it has been told. */
import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { HaproxyFiles } from '../config.ts';
import { removeFile } from '../files.ts';
import { awaitCondition } from '../wait.ts';
import { ask } from './socket.ts';

/** A process that was started anew waits 5 s for one to tell it, and until then tells nobody. Source: HAProxy 2.6, src/peers.c. */
const OWN_LESSON_LIMIT_MS = 6_000;
/** Some milliseconds but on a machine that is very busy, where clients wait rather than lose their member. */
const LESSON_LIMIT_MS = 2_500;
/** One for each thread that may look for clients at the same moment, and some. */
const PLACES = 16;
/** Statistics and metrics leave out what is called so. */
const DOOR = 'prometheus-exporter-door';

/**
 * Keeps clients in the kernel's queue while the next process is told. A client that came before its entry would go to
 * another server, and the old process would learn that from the new one.
 */
export class Handover {
  /** For the configuration of the next process. */
  readonly config: string;
  readonly #adminSocket: string;
  readonly #door: string;
  readonly #sockets: Socket[] = [];
  #ended = false;

  private constructor({ directory, adminSocket }: HaproxyFiles) {
    this.#adminSocket = adminSocket;
    // Of its own for each reload: under the same name, the old process would answer too.
    this.#door = join(directory, `door-${Date.now() % 100_000}.sock`);
    // One connection in a second is the least that haproxy knows, so that one must be ours.
    this.config = `
global
    maxconnrate 1

frontend ${DOOR}
    bind unix@${this.#door} mode 600
    mode tcp
    no log
    timeout client 1s
`;
  }

  /** undefined when the running process has nothing to hand over. Waits until it can. */
  static async begin(files: HaproxyFiles): Promise<Handover | undefined> {
    const tables = await ask(files.adminSocket, 'show table');
    if (!/ used:[1-9]/.test(tables)) return undefined;
    await awaitCondition(() => hasBeenTold(files.adminSocket), OWN_LESSON_LIMIT_MS);
    return new Handover(files);
  }

  /** Takes that one place as soon as there is a door, which is before the new process looks for clients: runs beside the reload. */
  async occupy(): Promise<void> {
    while (!this.#ended && !existsSync(this.#door)) await delay(1);
    for (let i = 0; i < PLACES && !this.#ended; i++) {
      // Whether it is taken decides nothing but how many clients come too early.
      this.#sockets.push(connect(this.#door).on('error', () => {}));
    }
  }

  /** Lets clients in once the new process has been told, or that takes too long. */
  async admit(): Promise<void> {
    await awaitCondition(() => hasBeenTold(this.#adminSocket), LESSON_LIMIT_MS);
    await admitClients(this.#adminSocket);
    await ask(this.#adminSocket, `shutdown frontend ${DOOR}`);
  }

  /** Whatever became of the reload. */
  end(): void {
    this.#ended = true;
    for (const socket of this.#sockets) socket.destroy();
    removeFile(this.#door);
  }
}

/** Success when nothing holds them. */
export async function admitClients(adminSocket: string): Promise<void> {
  const answer = await ask(adminSocket, 'set rate-limit connections global 0');
  if (answer !== '') throw new Error(`haproxy does not let clients in: ${answer}`);
}

/** The two lowest flags: by its predecessor, and by other amphorae. Without peers there is nothing to be told. */
async function hasBeenTold(adminSocket: string): Promise<boolean> {
  const flags = /\bflags=0x([0-9a-f]+)/.exec(await ask(adminSocket, 'show peers'))?.[1];
  return flags === undefined || (Number.parseInt(flags, 16) & 3) === 3;
}
