/** Who belongs to which server, handed from one haproxy process to the next: the new one takes clients once it has been told. */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { HaproxyFiles } from '../config.ts';
import { awaitCondition } from '../wait.ts';
import { parseDocument } from './document.ts';
import { ask } from './socket.ts';

/** A process that was started anew waits 5 s for one to tell it, and until then tells nobody. Source: HAProxy 2.6, src/peers.c. */
const OWN_LESSON_LIMIT_MS = 6_000;
/** Some milliseconds but on a machine that is very busy, where clients wait rather than lose their member. */
const LESSON_LIMIT_MS = 2_500;
const FILLING_LIMIT_MS = 1_000;
/** Each of the doors has one for every thread that may look for clients at the same moment, and some. */
const PLACES = 96;
/** Of the whole process. Below it our connections, which are twice as many as places, would be felt by clients. */
const LEAST_CONNECTION_LIMIT = 20 * PLACES;
/** As many of each family as seconds of the lesson: one connection is let in each second. */
const DOORS = { IPv4: [9103, 9104, 9105], IPv6: [9106, 9107, 9108] };
/** Statistics and metrics leave out what is called so. */
const DOOR = 'prometheus-exporter-door';
const CORRIDOR = 'prometheus-exporter-corridor';

/** For the configuration of the process that is to find clients of ours waiting. One connection in a second is the least haproxy knows. */
export const HOLD_CLIENTS = `
global
    maxconnrate 1
`;

/**
 * The way by which the agent, which is not in the namespace, puts connections into the queue of a socket there, whence the next process
 * takes them first: haproxy looks at the sockets of one family after the other (which comes first is its compiler's choice, so that each
 * family has doors), and within a family in the order of its files, of which this is the first. Empty where nobody is to be kept
 * together with a server, and where so few connections are allowed that ours would take the place of clients.
 */
export function doorSections(files: HaproxyFiles, loadBalancerId: string, config: string): string {
  const sections = [...(parseDocument(config)?.values() ?? [])];
  const has = (line: RegExp) => sections.some(({ lines }) => lines.some(text => line.test(text)));
  if (!has(/^stick-table\s/)) return '';
  const global = sections.find(({ head }) => head === 'global');
  const limits = global?.lines.flatMap(line => /^maxconn\s+(\d+)/.exec(line)?.[1] ?? []);
  if (limits?.some(limit => Number(limit) < LEAST_CONNECTION_LIMIT)) return '';
  // Several load balancers may share the namespace, where a port of the same address would be shared too.
  const host = [...createHash('sha256').update(loadBalancerId).digest().subarray(0, 3)];
  const address = `127.${host.map(byte => 1 + (byte % 254)).join('.')}`;
  const doors = DOORS.IPv4.map(port => ({ port, bind: address }));
  // An IPv4 address in a socket of IPv6 needs no address of IPv6, which a namespace may be without.
  if (has(/^bind\s+[^\s:]*:[^\s:]*:/))
    doors.push(...DOORS.IPv6.map(port => ({ port, bind: `ipv6@::ffff:${address}` })));
  return `
frontend ${DOOR}
${doors.map(({ port, bind }) => `    bind ${bind}:${port}`).join('\n')}
    mode tcp
    no log
    maxconn ${PLACES}
    timeout client 10s
    tcp-request inspect-delay 10s
    tcp-request content reject if WAIT_END

listen ${CORRIDOR}
    bind unix@${files.corridor} mode 600
    mode tcp
    no log
    retries 0
    timeout client 10s
    timeout connect 1s
    timeout server 10s
${doors.map(({ port }) => `    server d${port} ${address}:${port}`).join('\n')}
`;
}

/**
 * Keeps clients in the kernel's queue while the next process is told. A client that came before its entry would go to
 * another server, and the old process would learn that from the new one.
 */
export class Handover {
  readonly #files: HaproxyFiles;
  readonly #sockets: Socket[] = [];

  private constructor(files: HaproxyFiles) {
    this.#files = files;
  }

  /** undefined when the running process has nothing to hand over. Waits until it can. */
  static async begin(files: HaproxyFiles): Promise<Handover | undefined> {
    const tables = await ask(files.adminSocket, 'show table');
    if (!/ used:[1-9]/.test(tables)) return undefined;
    await awaitCondition(() => hasBeenTold(files.adminSocket), OWN_LESSON_LIMIT_MS);
    return new Handover(files);
  }

  /** Before the reload: fills the queue from which the next process takes its one connection. */
  async fill(): Promise<void> {
    const { adminSocket, corridor } = this.#files;
    // One is the least that haproxy knows. An answer tells that there is no door, as in a process that an older agent started.
    if ((await ask(adminSocket, `set maxconn frontend ${DOOR} 1`)) !== '') return;
    for (let i = 0; i < PLACES; i++) {
      // How many there are decides nothing but how many clients come too early.
      this.#sockets.push(connect(corridor).on('error', () => {}));
    }
    await awaitCondition(() => this.#isFilled(), FILLING_LIMIT_MS);
  }

  /** Lets clients in once the new process has been told, or that takes too long. */
  async admit(): Promise<void> {
    await awaitCondition(() => hasBeenTold(this.#files.adminSocket), LESSON_LIMIT_MS);
    await admitClients(this.#files.adminSocket);
  }

  /** Whatever became of the reload. */
  end(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async #isFilled(): Promise<boolean> {
    const statistics = await ask(this.#files.adminSocket, `show stat ${CORRIDOR} 2 -1`);
    const [, sessions] = /,BACKEND,\d*,\d*,(\d+),/.exec(statistics) ?? [];
    return Number(sessions) >= PLACES / 2;
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
