/** Decides whether a new haproxy.cfg can be reached over the runtime socket or needs a reload. In doubt: reload. */
import { type Document, parseDocument, type Section, type Server, serverKey } from './document.ts';

export interface RuntimeCommand {
  command: string;
  /** What haproxy 2.6 answers when it has done it. */
  success: RegExp;
}

export type Plan =
  | { kind: 'nothing' }
  | { kind: 'runtime'; commands: RuntimeCommand[] }
  | { kind: 'reload'; reason: string };

const SILENCE = /^$/;

/** `running` is what haproxy runs, `wanted` what it shall run. */
export function planChange(running: string, wanted: string): Plan {
  const [before, after] = [parseDocument(running), parseDocument(wanted)];
  if (before === undefined || after === undefined) return reload('a configuration is not understood');
  const different = findDifferentSection(before, after);
  if (different !== undefined) return reload(`section ${different} differs`);

  const added: RuntimeCommand[] = [];
  const opened: RuntimeCommand[] = [];
  const closed: RuntimeCommand[] = [];
  for (const [head, section] of after) {
    const old = before.get(head)!.servers;
    for (const server of section.servers.values()) {
      const present = old.get(server.name);
      const reason =
        present === undefined ? whyNotAddable(section, server) : whyNotChangeable(section, present, server);
      if (reason !== undefined) return reload(`server ${serverKey(server)}: ${reason}`);
      if (present === undefined) added.push(...addServer(server));
      else changeServer(present, server, opened, closed);
    }
    for (const server of old.values()) {
      if (section.servers.has(server.name)) continue;
      if (!isDynamic(section)) return reload(`server ${serverKey(server)}: its backend balances statically`);
      closed.push(setServer(server, 'state maint'));
    }
  }
  // What takes traffic comes before what gives it up, so that no request finds a backend without a server.
  const commands = [...added, ...opened, ...closed];
  return commands.length === 0 ? { kind: 'nothing' } : { kind: 'runtime', commands };
}

const reload = (reason: string): Plan => ({ kind: 'reload', reason });

function findDifferentSection(before: Document, after: Document): string | undefined {
  for (const head of before.keys()) if (!after.has(head)) return head;
  for (const [head, section] of after) {
    const old = before.get(head);
    if (old === undefined || old.lines.join('\n') !== section.lines.join('\n')) return head;
    // The sources are spread over the servers by their order.
    if (!isDynamic(section) && [...old.servers.keys()].join() !== [...section.servers.keys()].join())
      return head;
  }
  return undefined;
}

/** A static algorithm lays its servers out once. Source: HAProxy 2.6 management guide, "add server" and "set weight". */
const isDynamic = (section: Section): boolean =>
  section.lines.some(line => line === 'balance roundrobin' || line === 'balance leastconn');

/** Options that a server may be born with at run time and that then mean what they mean in a file, and their number of values. */
const ADDABLE = new Map([
  ...['check', 'backup', 'send-proxy', 'send-proxy-v2'].map(option => [option, 0] as const),
  ...['inter', 'fall', 'rise', 'addr', 'port'].map(option => [option, 1] as const),
]);

function whyNotAddable(section: Section, server: Server): string | undefined {
  if (!isDynamic(section)) return 'its backend balances statically';
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
  if (old.options.join(' ') !== server.options.join(' ')) return 'its options differ';
  if (old.weight !== server.weight && !isDynamic(section)) return 'its backend balances statically';
  return undefined;
}

function addServer(server: Server): RuntimeCommand[] {
  // A server born at run time keeps no idle connections unless told; in a file these two are the defaults.
  const pool = 'pool-max-conn -1 pool-purge-delay 5s';
  const words = [`${server.address}:${server.port}`, `weight ${server.weight}`, ...server.options, pool];
  const commands: RuntimeCommand[] = [
    { command: `add server ${serverKey(server)} ${words.join(' ')}`, success: /^New server registered\.$/ },
  ];
  if (server.options.includes('check')) {
    commands.push({ command: `enable health ${serverKey(server)}`, success: SILENCE });
  }
  // It is born in maintenance.
  if (!server.disabled) commands.push(setServer(server, 'state ready'));
  return commands;
}

function changeServer(old: Server, server: Server, opened: RuntimeCommand[], closed: RuntimeCommand[]): void {
  if (old.address !== server.address || old.port !== server.port) {
    opened.push({
      command: `set server ${serverKey(server)} addr ${server.address} port ${server.port}`,
      success: /by 'stats socket command'$/,
    });
  }
  if (old.weight !== server.weight) {
    (server.weight > 0 ? opened : closed).push(setServer(server, `weight ${server.weight}`));
  }
  if (old.disabled !== server.disabled) {
    (server.disabled ? closed : opened).push(
      setServer(server, `state ${server.disabled ? 'maint' : 'ready'}`),
    );
  }
}

const setServer = (server: Server, what: string): RuntimeCommand => ({
  command: `set server ${serverKey(server)} ${what}`,
  success: SILENCE,
});
