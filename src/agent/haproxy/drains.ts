/** Drains with a clock: servers that get no more sessions keep those they have for so long, then these are ended. */
import type { HaproxyFiles } from '../config.ts';
import { findText, writeWhole } from '../files.ts';
import { type Document, parseDocument, type Section, type Server, serverKey } from './document.ts';
import { findProcesses } from './master.ts';
import { ask } from './socket.ts';

/** By `<backend>/<server>`: since when, in milliseconds since 1970; 0 when its sessions have been ended. */
export type Drains = Readonly<Record<string, number>>;

const MOST_IN_ONE_LINE = 100;

/**
 * The clocks after a change to `wanted`; `running` are the servers that run before it. A clock that is under way goes on, also
 * when the server is removed meanwhile, and is forgotten when the server takes sessions again.
 */
export function planDrains(
  before: Drains,
  wanted: Document,
  running: readonly string[],
  nowMs: number,
): Drains {
  const after: Record<string, number> = {};
  const listed = new Set<string>();
  for (const section of wanted.values()) {
    for (const server of section.servers.values()) {
      const key = serverKey(server);
      listed.add(key);
      if (isDrained(section, server)) after[key] = before[key] ?? nowMs;
    }
  }
  const unlisted = [...running, ...Object.keys(before).filter(key => before[key] !== 0)];
  for (const key of unlisted) if (!listed.has(key)) after[key] = before[key] ?? nowMs;
  return after;
}

/** With persistence a weight of 0 still gets the sessions that belong there: to end one would only bring it back. */
function isDrained(section: Section, server: Server): boolean {
  const persists = section.lines.some(line => /^(cookie|stick) /.test(line));
  return server.disabled || (server.weight === 0 && !persists);
}

/** To be called before a change, so that no crash loses a clock. */
export async function noteDrains(files: HaproxyFiles, wanted: string, nowMs: number): Promise<void> {
  const document = parseDocument(wanted);
  if (document === undefined) return;
  const [, , ...lines] = (await ask(files.adminSocket, 'show servers state')).split('\n');
  const running = lines.map(line => line.split(' ')).map(words => `${words[1]}/${words[3]}`);
  writeDrains(files, planDrains(readDrains(files), document, running, nowMs));
}

/** The servers whose clock has run down and that may still have sessions. */
export function listOverdue(files: HaproxyFiles, timeoutMs: number, nowMs: number): string[] {
  if (timeoutMs === 0) return [];
  return Object.entries(readDrains(files))
    .filter(([, since]) => since > 0 && since + timeoutMs <= nowMs)
    .map(([server]) => server);
}

/** Ends their sessions, also those in workers that earlier reloads left behind. */
export async function endSessions(files: HaproxyFiles, servers: readonly string[]): Promise<void> {
  // One that was removed by a reload is unknown to the present worker, which says so.
  for (const server of servers) await ask(files.adminSocket, `shutdown sessions server ${server}`);
  const { oldWorkers = [] } = (await findProcesses(files)) ?? {};
  for (const pid of oldWorkers) await endSessionsOf(files, pid, new Set(servers));
  const drains = readDrains(files);
  writeDrains(files, { ...drains, ...Object.fromEntries(servers.map(server => [server, 0])) });
}

/** A worker that is leaving refuses "shutdown sessions server", but ends one session after the other. */
async function endSessionsOf(
  { masterSocket }: HaproxyFiles,
  pid: number,
  servers: ReadonlySet<string>,
): Promise<void> {
  const shown = await ask(masterSocket, `@!${pid} show sess`);
  const commands = [...shown.matchAll(/^(0x[0-9a-f]+): .*? be=(\S+) srv=(\S+) /gm)]
    .filter(([, , backend, server]) => servers.has(`${backend}/${server}`))
    .map(([, session]) => `@!${pid} shutdown session ${session}`);
  for (let i = 0; i < commands.length; i += MOST_IN_ONE_LINE) {
    await ask(masterSocket, commands.slice(i, i + MOST_IN_ONE_LINE).join(';'));
  }
}

function readDrains(files: HaproxyFiles): Drains {
  try {
    return JSON.parse(findText(files.drains) ?? '{}') as Drains;
  } catch {
    // A torn file costs the clocks of the drains that are under way, and is written anew with the next one.
    return {};
  }
}

const writeDrains = (files: HaproxyFiles, drains: Drains): void =>
  writeWhole(files.drains, JSON.stringify(drains), 0o600);
