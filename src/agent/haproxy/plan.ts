/** Decides whether a new haproxy.cfg can be reached over the runtime socket or needs a reload. In doubt: reload. */
import { describeServer, findDifference, isDynamic } from './difference.ts';
import { parseDocument, type Section, type Server, serverKey } from './document.ts';

export interface RuntimeCommand {
  command: string;
  /** What haproxy 2.6 answers when it has done it. */
  success: RegExp;
  /** What follows the command; it may be secret. */
  payload?: string;
}

/** Reasons are in the words of whoever made the change. */
export type Plan =
  | { kind: 'nothing' }
  | { kind: 'runtime'; commands: RuntimeCommand[]; reason: string }
  | { kind: 'reload'; reason: string };

const SILENCE = /^$/;

/**
 * `running` is what haproxy runs, `wanted` what it shall run. A connection limit is left to a reload although there is a command
 * for it: haproxy 2.6.12 ends in a deadlock when a frontend that is full is given a higher one.
 */
export function planChange(running: string, wanted: string): Plan {
  const [before, after] = [parseDocument(running), parseDocument(wanted)];
  if (before === undefined || after === undefined) return reload('a configuration is not understood');
  const difference = findDifference(before, after);
  if (difference !== undefined) return reload(difference);

  const added: RuntimeCommand[] = [];
  const opened: RuntimeCommand[] = [];
  const closed: RuntimeCommand[] = [];
  const done = { added: new Set<string>(), changed: new Set<string>(), removed: new Set<string>() };
  for (const [head, section] of after) {
    const old = before.get(head)!.servers;
    const born: Server[] = [];
    for (const server of section.servers.values()) {
      const present = old.get(server.name);
      const reason =
        present === undefined ? whyNotAddable(section, server) : whyNotChangeable(section, present, server);
      if (reason !== undefined) return reload(`${describeServer(server)}: ${reason}`);
      if (present === undefined) born.push(server);
      else if (changeServer(present, server, opened, closed)) done.changed.add(server.name);
    }
    for (const server of born) {
      added.push(...addServer(server));
      // It is born in maintenance.
      if (!server.disabled) opened.push(setServer(server, 'state ready'));
      done.added.add(server.name);
    }
    if (born.length > 0) added.push(...renewCookies(section));
    for (const server of old.values()) {
      if (section.servers.has(server.name)) continue;
      if (!isDynamic(section)) return reload(`${describeServer(server)}: ${STATIC}`);
      closed.push(setServer(server, 'state maint'));
      done.removed.add(server.name);
    }
  }
  // What takes traffic comes before what gives it up, so that no request finds a backend without a server.
  const commands = [...added, ...opened, ...closed];
  if (commands.length === 0) return { kind: 'nothing' };
  const counts = Object.entries(done).filter(([, names]) => names.size > 0);
  const reason = `members: ${counts.map(([what, { size }]) => `${size} ${what}`).join(', ')}`;
  return { kind: 'runtime', commands, reason };
}

const reload = (reason: string): Plan => ({ kind: 'reload', reason });

const STATIC = 'its pool balances statically';

const TLS_VERSIONS = ['sslv3', 'tlsv10', 'tlsv11', 'tlsv12', 'tlsv13'];
/**
 * Options that a server may be born with at run time and that then mean what they mean in a file, and their number of values.
 * Files that they name must have been loaded before: else haproxy refuses, and is reloaded.
 */
const ADDABLE = new Map([
  ...['check', 'check-ssl', 'backup', 'send-proxy', 'send-proxy-v2', 'send-proxy-v2-ssl-cn', 'ssl']
    .concat(TLS_VERSIONS.map(version => `no-${version}`))
    .map(option => [option, 0] as const),
  ...['inter', 'fall', 'rise', 'id', 'crt', 'ca-file', 'crl-file', 'verify', 'sni', 'ciphers']
    .concat('ciphersuites', 'ssl-min-ver', 'ssl-max-ver', 'alpn', 'check-alpn')
    .map(option => [option, 1] as const),
]);

function whyNotAddable(section: Section, server: Server): string | undefined {
  if (!isDynamic(section)) return STATIC;
  // haproxy 2.6.12 dies of it.
  if (section.lines.some(line => line.startsWith('option external-check')))
    return 'it is checked by a program';
  for (let i = 0; i < server.options.length; i++) {
    const values = ADDABLE.get(server.options[i]!);
    if (values === undefined) return `option ${server.options[i]} cannot be added at run time`;
    i += values;
  }
  return undefined;
}

function whyNotChangeable(section: Section, old: Server, server: Server): string | undefined {
  const lacks = (before: readonly string[], after: readonly string[]) =>
    before.find(option => !after.includes(option));
  if (old.options.join(' ') !== server.options.join(' ')) {
    const word = lacks(server.options, old.options) ?? lacks(old.options, server.options);
    return `option ${word ?? 'order'} differs`;
  }
  if (old.weight !== server.weight && !isDynamic(section)) return STATIC;
  // What is taken away cannot be told to haproxy.
  const lost = (before?: string, after?: string) => before !== undefined && after === undefined;
  if (lost(old.checkAddress, server.checkAddress) || lost(old.checkPort, server.checkPort))
    return 'it is checked where it serves';
  return undefined;
}

function addServer(server: Server): RuntimeCommand[] {
  const { address, port, weight, options, checkAddress, checkPort } = server;
  const words = [`${address}:${port}`, `weight ${weight}`, ...options];
  if (checkAddress !== undefined) words.push(`addr ${checkAddress}`);
  if (checkPort !== undefined) words.push(`port ${checkPort}`);
  // A server born at run time keeps no idle connections unless told; in a file these two are the defaults.
  words.push('pool-max-conn -1 pool-purge-delay 5s');
  const commands: RuntimeCommand[] = [
    { command: `add server ${serverKey(server)} ${words.join(' ')}`, success: /^New server registered\.$/ },
  ];
  if (options.includes('check')) {
    commands.push({ command: `enable health ${serverKey(server)}`, success: SILENCE });
  }
  return commands;
}

/** A server born at run time has no cookie until all of them are made anew, which leaves those of the others as they are. */
function renewCookies(section: Section): RuntimeCommand[] {
  const key = section.lines.find(line => line.startsWith('dynamic-cookie-key '));
  if (key === undefined) return [];
  const backend = section.head.slice(section.head.indexOf(' ') + 1);
  const command = `set dynamic-cookie-key backend ${backend} ${key.split(/\s+/)[1]}`;
  return [{ command, success: SILENCE }];
}

/** False when they are the same. */
function changeServer(
  old: Server,
  server: Server,
  opened: RuntimeCommand[],
  closed: RuntimeCommand[],
): boolean {
  const before = opened.length + closed.length;
  if (old.address !== server.address || old.port !== server.port) {
    opened.push({
      command: `set server ${serverKey(server)} addr ${server.address} port ${server.port}`,
      success: /by 'stats socket command'$/,
    });
  }
  if (old.checkAddress !== server.checkAddress)
    opened.push(setServer(server, `check-addr ${server.checkAddress}`));
  if (old.checkPort !== server.checkPort) opened.push(setServer(server, `check-port ${server.checkPort}`));
  if (old.weight !== server.weight) {
    (server.weight > 0 ? opened : closed).push(setServer(server, `weight ${server.weight}`));
  }
  if (old.disabled !== server.disabled) {
    (server.disabled ? closed : opened).push(
      setServer(server, `state ${server.disabled ? 'maint' : 'ready'}`),
    );
  }
  return opened.length + closed.length > before;
}

const setServer = (server: Server, what: string): RuntimeCommand => ({
  command: `set server ${serverKey(server)} ${what}`,
  success: SILENCE,
});
