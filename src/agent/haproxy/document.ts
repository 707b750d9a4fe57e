/** A haproxy.cfg as sections of words: just enough structure to compare two of them. */

export interface Server {
  backend: string;
  name: string;
  address: string;
  port: string;
  weight: number;
  disabled: boolean;
  /** Where it is checked instead, as `addr` and `port` say. */
  checkAddress: string | undefined;
  checkPort: string | undefined;
  /** All other words of its line, in their order. */
  options: readonly string[];
}

export interface Section {
  /** Such as `backend p1:l1`. */
  head: string;
  /** Without the servers of a backend. */
  lines: readonly string[];
  servers: ReadonlyMap<string, Server>;
}

export type Document = ReadonlyMap<string, Section>;

const SECTION_KEYWORDS = new Set([
  'global',
  'defaults',
  'peers',
  'frontend',
  'backend',
  'listen',
  'resolvers',
]);

/** undefined when the text holds something whose meaning a comparison of words could miss. */
export function parseDocument(text: string): Document | undefined {
  const document = new Map<string, { head: string; lines: string[]; servers: Map<string, Server> }>();
  let section: { head: string; lines: string[]; servers: Map<string, Server> } | undefined;
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const words = line.split(/[ \t]+/);
    if (SECTION_KEYWORDS.has(words[0]!) && !/^\s/.test(raw)) {
      section = { head: words.join(' '), lines: [], servers: new Map() };
      if (document.has(section.head)) return undefined;
      document.set(section.head, section);
    } else if (section === undefined) {
      return undefined;
    } else if (words[0] === 'server') {
      const server = parseServer(section.head, words);
      if (server === undefined || section.servers.has(server.name)) return undefined;
      section.servers.set(server.name, server);
    } else if (words[0] === 'default-server' || words[0] === 'server-template') {
      return undefined;
    } else {
      section.lines.push(line);
    }
  }
  return document;
}

function parseServer(head: string, words: readonly string[]): Server | undefined {
  if (words.length < 3 || words.some(word => /["'\\#;]/.test(word))) return undefined;
  const [, name, where] = words as [string, string, string];
  const colon = where.lastIndexOf(':');
  if (colon < 1 || !/^\d+$/.test(where.slice(colon + 1))) return undefined;
  const server = {
    backend: head.slice(head.indexOf(' ') + 1),
    name,
    address: withoutBrackets(where.slice(0, colon)),
    port: where.slice(colon + 1),
    weight: 1,
    disabled: false,
    checkAddress: undefined as string | undefined,
    checkPort: undefined as string | undefined,
    options: [] as string[],
  };
  for (let i = 3; i < words.length; i++) {
    if (words[i] === 'weight') {
      server.weight = Number(words[++i]);
      if (!Number.isInteger(server.weight)) return undefined;
    } else if (words[i] === 'disabled') server.disabled = true;
    else if (words[i] === 'addr') server.checkAddress = withoutBrackets(words[++i] ?? '');
    else if (words[i] === 'port') server.checkPort = words[++i];
    else server.options.push(words[i]!);
  }
  return server;
}

const withoutBrackets = (address: string): string => address.replace(/^\[(.*)\]$/, '$1');

/** Every server of every backend, by `<backend>/<server>`. */
export function listServers(document: Document): Map<string, Server> {
  const servers = new Map<string, Server>();
  for (const section of document.values()) {
    for (const server of section.servers.values()) servers.set(serverKey(server), server);
  }
  return servers;
}

export const serverKey = (server: { backend: string; name: string }): string =>
  `${server.backend}/${server.name}`;
