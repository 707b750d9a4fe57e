/**
 * Certificates of the running haproxy: what it has loaded, and how it is given other ones over its runtime socket. haproxy knows
 * each by the path that it was loaded from and cannot let go of the first one of a list, so a new one takes the place of an old one
 * under the old path. The remembered text of what runs therefore has the paths that haproxy knows, and says in a comment which content
 * each of them has; the files on disk are always those of the next start. Authorities and revocation lists are left to a reload:
 * haproxy 2.6 would go on resuming sessions with those who were trusted before. Pure. Source: HAProxy 2.6 management guide.
 */
import { createHash } from 'node:crypto';
import { type Plan, planChange, type RuntimeCommand } from './plan.ts';

type Read = (path: string) => string | undefined;

/** A text with what its certificates are. */
interface Picture {
  text: string;
  /** The paths in each list of certificates, by its own path. */
  lists: Map<string, string[]>;
  /** The digest of the content of each file; undefined when it could not be read. */
  digests: Map<string, string | undefined>;
}

const AUTHORITIES = ['ca-file', 'crl-file'];

/** Begins the last line, which holds the rest of the picture. */
const COMMENT = '\n# certificates: ';

/** The text of a haproxy.cfg, and in a comment below it the lists of certificates and the digests of all files that it names. */
export function withCertificates(text: string, read: Read): string {
  const lists = new Map(pathsIn(text, 'crt-list').map(path => [path, readList(read(path) ?? '')]));
  const named = ['crt', ...AUTHORITIES].flatMap(word => pathsIn(text, word));
  const paths = named.concat(...lists.values());
  return withComment({ text, lists, digests: new Map(paths.map(path => [path, digest(read(path))])) });
}

const pathsIn = (text: string, word: string): string[] =>
  [...text.matchAll(new RegExp(`^\\s+(?:bind|server)\\s.*? ${word} (\\S+)`, 'gm'))].map(match => match[1]!);

const digest = (content: string | undefined): string | undefined =>
  content === undefined ? undefined : createHash('sha256').update(content).digest('hex');

const readList = (content: string): string[] => content.split('\n').filter(line => line.trim() !== '');

function withComment({ text, lists, digests }: Picture): string {
  if (lists.size === 0 && digests.size === 0) return text;
  return `${text}${COMMENT}${JSON.stringify({ lists: [...lists], digests: [...digests] })}\n`;
}

function pictureOf(whole: string): Picture {
  const at = whole.lastIndexOf(COMMENT);
  if (at < 0) return { text: whole, lists: new Map(), digests: new Map() };
  const rest: { lists: [string, string[]][]; digests: [string, string | null][] } = JSON.parse(
    whole.slice(at + COMMENT.length),
  );
  const digests = new Map(rest.digests.map(([path, sum]) => [path, sum ?? undefined]));
  return { text: whole.slice(0, at), lists: new Map(rest.lists), digests };
}

/** Calls `replace` with the certificate of each server, and puts what it returns in its place. */
function replaceServerCertificates(text: string, replace: (server: string, path: string) => string): string {
  let section = '';
  const lines = text.split('\n').map(line => {
    if (/^\w/.test(line)) section = line.trim();
    const name = /^\s+server\s+(\S+)/.exec(line)?.[1];
    if (name === undefined) return line;
    return line.replace(/ crt (\S+)/, (_, path: string) => ` crt ${replace(`${section} ${name}`, path)}`);
  });
  return lines.join('\n');
}

function serverCertificates(text: string): Map<string, string> {
  const found = new Map<string, string>();
  replaceServerCertificates(text, (server, path) => {
    found.set(server, path);
    return path;
  });
  return found;
}

/** How haproxy comes from what it runs to what it shall run, and the text to remember when that was done without a reload. */
export function planWithCertificates(
  running: string,
  wanted: string,
  read: Read,
): { plan: Plan; text: string } {
  const swap = planSwap(pictureOf(running), pictureOf(wanted), read);
  if ('reason' in swap) return { plan: { kind: 'reload', reason: swap.reason }, text: wanted };
  const { first, last, text, changed } = swap;
  const plan = planChange(running, text);
  if (changed === 0 || plan.kind === 'reload') return { plan, text: plan.kind === 'reload' ? wanted : text };
  const others = plan.kind === 'runtime' ? plan : { commands: [], reason: '' };
  const reason = [`certificates: ${changed} changed`, others.reason].filter(part => part !== '').join('; ');
  return { plan: { kind: 'runtime', commands: [...first, ...others.commands, ...last], reason }, text };
}

interface Swap {
  /** Before anything that may need what they bring, and after all that may need what they take. */
  first: RuntimeCommand[];
  last: RuntimeCommand[];
  /** What runs when all of it is done. */
  text: string;
  /** How many certificates are other ones, new or gone. */
  changed: number;
}

function planSwap(running: Picture, wanted: Picture, read: Read): Swap | { reason: string } {
  /** The path of the new content, by the path that haproxy knows. */
  const taken = new Map<string, string>();
  /** The path that haproxy will know, by that of the content: haproxy may know the latter for something else. */
  const born = new Map<string, string>();
  const added: [list: string, path: string][] = [];
  const removed: [list: string, path: string][] = [];
  const lists = new Map(wanted.lists);
  let obstacle: string | undefined;
  const take = (loaded: string, path: string) => {
    const other = taken.get(loaded);
    if (other !== undefined && wanted.digests.get(other) !== wanted.digests.get(path))
      obstacle = 'a certificate with two uses changes for one of them';
    taken.set(loaded, path);
  };

  const nameFor = (path: string): string => {
    if (running.digests.get(path) === wanted.digests.get(path)) {
      take(path, path);
      return path;
    }
    const names = [path, ...Array.from(running.digests, (_, i) => `${path}.${i}`)];
    const name = born.get(path) ?? names.find(each => !running.digests.has(each))!;
    born.set(path, name);
    return name;
  };

  const before = serverCertificates(running.text);
  for (const [server, path] of serverCertificates(wanted.text)) {
    const loaded = before.get(server);
    if (loaded !== undefined) take(loaded, path);
  }
  for (const [list, paths] of wanted.lists) {
    const old = running.lists.get(list);
    // It belongs to a listener that is new.
    if (old === undefined) continue;
    if (old.length === 0 || paths.length === 0) obstacle = 'a list of certificates is empty';
    const pairs = pairLists(
      old,
      paths,
      (loaded, path) => running.digests.get(loaded) === wanted.digests.get(path),
    );
    for (const [loaded, path] of pairs) {
      if (path === undefined) removed.push([list, loaded!]);
      else if (loaded !== undefined) take(loaded, path);
      else added.push([list, nameFor(path)]);
    }
    const names = pairs.flatMap(([loaded, path]) => (path === undefined ? [] : [loaded ?? nameFor(path)]));
    lists.set(list, names);
  }

  const changed = [...taken].filter(
    ([loaded, path]) => running.digests.get(loaded) !== wanted.digests.get(path),
  );
  const sums = new Set(wanted.digests.values());
  if (changed.some(([loaded]) => sums.has(running.digests.get(loaded))))
    obstacle = 'certificates change places';
  const trusted = AUTHORITIES.flatMap(word => pathsIn(wanted.text, word));
  const differs = (path: string) => running.digests.get(path) !== wanted.digests.get(path);
  if (trusted.some(path => running.digests.has(path) && differs(path)))
    obstacle = 'a file of authorities or revocations differs';
  if (changed.some(([loaded]) => trusted.includes(loaded))) obstacle = 'a file has two uses';
  const known = ['crt', ...AUTHORITIES].flatMap(word => pathsIn(running.text, word));
  if (known.some(path => !running.digests.has(path)) || sums.has(undefined))
    obstacle = 'what a file of certificates holds is not known';
  const loaded = [
    ...taken,
    ...[...born].map(([path, name]) => [name, path]),
    ...trusted.map(path => [path, path]),
  ];
  const digests = new Map(loaded.map(([name, path]) => [name!, wanted.digests.get(path!)]));
  const text = replaceServerCertificates(wanted.text, (server, path) => {
    const sum = wanted.digests.get(path);
    // A server that is born takes what the others of its pool have.
    const known = before.get(server) ?? [...taken.keys()].find(loaded => digests.get(loaded) === sum);
    // Under its own path haproxy may know another one.
    if (known === undefined) obstacle = 'a member needs a certificate that no other has';
    return known ?? path;
  });
  if (obstacle !== undefined) return { reason: obstacle };
  const gone = new Set(removed.map(([, path]) => path).filter(path => !digests.has(path)));
  return {
    first: [
      ...changed.flatMap(([loaded, path]) => setContent(loaded, read(path) ?? '')),
      ...[...born].flatMap(([path, name]) => [
        { command: `new ssl cert ${name}`, success: /^New empty certificate store/ },
        ...setContent(name, read(path) ?? ''),
      ]),
      ...added.map(words => ({ command: `add ssl crt-list ${words.join(' ')}`, success: /Success!$/ })),
    ],
    last: [
      ...removed.map(words => ({
        command: `del ssl crt-list ${words.join(' ')}`,
        success: /deleted in crtlist/,
      })),
      ...[...gone].map(path => ({ command: `del ssl cert ${path}`, success: /deleted!$/ })),
    ],
    text: withComment({ text, lists, digests }),
    changed: changed.length + added.length + removed.length,
  };
}

type Pair = [loaded: string | undefined, path: string | undefined];

/** The first takes the place of the first; of the others what stays keeps its place, and what comes takes that of what goes. */
function pairLists(
  [first, ...old]: readonly string[],
  [firstPath, ...paths]: readonly string[],
  isSame: (loaded: string, path: string) => boolean,
): Pair[] {
  const pairs: Pair[] = [[first, firstPath]];
  const fresh = paths.filter(path => {
    const at = old.findIndex(loaded => isSame(loaded, path));
    if (at >= 0) pairs.push([old.splice(at, 1)[0], path]);
    return at < 0;
  });
  const length = Math.max(old.length, fresh.length);
  return [...pairs, ...Array.from({ length }, (_, i): Pair => [old[i], fresh[i]])];
}

function setContent(loaded: string, content: string): RuntimeCommand[] {
  // An empty line would end it.
  const payload = content
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
    .join('\n');
  return [
    { command: `set ssl cert ${loaded}`, payload, success: /^Transaction (created|updated)/ },
    { command: `commit ssl cert ${loaded}`, success: /Success!$/ },
  ];
}
