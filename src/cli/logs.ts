/** `ottavia logs`: who connected to a load balancer, what he asked for and who answered, also while it happens. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { CliError } from './cli-error.ts';
import type { Client, Query } from './client.ts';
import { addOptions, fieldsOf, run } from './command.ts';
import { between, type Context, option } from './noun.ts';
import { findOne } from './resolve.ts';

/** The server says something every second. */
const SILENCE_MS = 10_000;
const RETRY_MS = 500;
/** As many as the server gives at once: after a break none may be missing. */
const MOST_LINES = 10_000;

export interface Entry {
  time: string;
  amphora_id: string;
  text: string;
}

const OPTIONS = [
  option('--lines <number>', 'How many at most, 100 unless told', '', {
    ...{ field: 'limit', read: (text: string) => String(between(0, MOST_LINES)(text)) },
  }),
  option('--since <time>', 'Nothing before this time (UTC), such as 2026-01-31T12:00', ''),
];

export function addLogs(
  program: Command,
  { terminal }: Context,
  connect: (timeoutMs?: number) => Client,
): void {
  const command = program
    .command('logs <loadbalancer>')
    .description('Show what connected to a load balancer, the newest last')
    .option('--follow', 'Go on with what comes, until Ctrl-C');
  addOptions(command, OPTIONS);
  const format = new Option('-f, --format <format>', 'For people, as haproxy wrote it, or all there is');
  command.addOption(format.choices(['text', 'raw', 'json']).default('text'));
  run(command, async ([text], given) => {
    const client = connect();
    const { row } = await findOne(client, 'loadbalancer', text!);
    const shown: string = given.format;
    const names = shown === 'text' ? await listNames(client, row.id) : new Map<string, string>();
    const print = (entry: Entry) => {
      const line =
        shown === 'text' ? renderEntry(entry, names) : shown === 'raw' ? entry.text : JSON.stringify(entry);
      terminal.out.write(`${printable(line)}\n`);
    };
    const path = `ottavia/loadbalancers/${row.id}/logs`;
    const query = fieldsOf(OPTIONS, given) as Query;
    if (given.follow) return follow(() => connect(SILENCE_MS), path, query, print, terminal.err);
    const { logs } = (await client.request('GET', path, undefined, query)) as { logs: Entry[] };
    for (const entry of logs) print(entry);
  });
}

/** Outlives restarts of the server: goes on behind the last line, none twice. */
async function follow(
  connect: () => Client,
  path: string,
  query: Query,
  print: (entry: Entry) => void,
  err: NodeJS.WritableStream,
): Promise<void> {
  let last = '';
  let atLast = new Set<string>();
  const take = (value: unknown) => {
    const entry = value as Entry;
    const key = JSON.stringify(entry);
    if (atLast.has(key)) return;
    if (entry.time > last) [last, atLast] = [entry.time, new Set()];
    if (entry.time === last) atLast.add(key);
    print(entry);
  };
  await keepFollowing(connect, err, () => {
    const rest = last === '' ? query : { limit: String(MOST_LINES), since: last };
    return { path, query: { ...rest, follow: 'true' }, take };
  });
}

/** Asks again whenever an answer ended. Returns when the load balancer is gone. */
export async function keepFollowing(
  connect: () => Client,
  err: NodeJS.WritableStream,
  next: () => { path: string; query: Query; take(value: unknown): void },
): Promise<void> {
  for (;;) {
    const startedMs = Date.now();
    const { path, query, take } = next();
    try {
      // Each time with a token of its own: the last one may have ended meanwhile.
      await connect().follow(path, query, take);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      if (error.httpStatus === 404) return void err.write('The load balancer is gone\n');
      const isPassing = error.httpStatus === undefined ? error.cause !== undefined : error.httpStatus === 503;
      if (!isPassing) throw error;
      // Only once for each break: what follows fails at once.
      if (Date.now() - startedMs > RETRY_MS) err.write(`${error.message} Trying again\n`);
    }
    await sleep(RETRY_MS);
  }
}

/** Of listeners and members, by id. */
async function listNames(client: Client, lbId: string): Promise<Map<string, string>> {
  const filter = { loadbalancer_id: lbId };
  const [listeners, pools] = await Promise.all([
    client.list('lbaas/listeners', filter),
    client.list('lbaas/pools', filter),
  ]);
  const members = await Promise.all(pools.map(({ id }) => client.list(`lbaas/pools/${id}/members`)));
  return new Map([...listeners, ...members.flat()].map(({ id, name }) => [id, String(name || id)]));
}

/** A connection as haproxy logs it unless the operator wants it otherwise. Source: contract dataplane.md 4, log-format. */
const CONNECTION =
  /^\S+ \S+ (?<listener>\S+) (?<client>\S+) (?<port>\d+) \S+ (?:"(?<request>[^"]*)"|-) (?<status>\S+) (?<sent>\d+) (?<received>\d+) \S+ "?[^"]*"? \S+ (?<member>\S+) (?<ms>\S+) (?<end>\S+)$/;

/** Whatever else stands in the log is shown as it is. */
export function renderEntry({ time, text }: Entry, names: ReadonlyMap<string, string>): string {
  const found = CONNECTION.exec(text)?.groups;
  if (!found) return `${shortTime(time)}  ${text}`;
  const { listener, client, port, request, status, sent, received, member, ms, end } = found;
  const nameOf = (id = '') => names.get(id) ?? id;
  const answered = member === '<NOSRV>' ? '-' : nameOf(member);
  // Who ended it early, and at what; what follows is about cookies.
  const broken = end!.startsWith('--') ? [] : [`[${end!.slice(0, 2)}]`];
  const sizes = `${received} B in, ${sent} B out`;
  const who = `${client!.includes(':') ? `[${client}]` : client}:${port}`;
  const what = [request, ...(status === '-' ? [] : [status])].filter(part => part !== undefined);
  return [
    shortTime(time),
    who.padEnd(21),
    nameOf(listener),
    answered,
    ...what,
    `${ms} ms`,
    sizes,
    ...broken,
  ].join('  ');
}

const shortTime = (time: string): string => time.replace('T', ' ').slice(0, 23);

/** What could give orders to a terminal is not printed; haproxy lets some of it through in formats of the operator's. */
export function printable(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return line.replace(/[\x00-\x1f\x7f-\x9f]/g, '\ufffd');
}
