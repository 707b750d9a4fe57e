/** Turns what a user wrote into a thing or its id: an id is looked for first, then a name. Source: contract clients.md 2. */
import { CliError } from './cli-error.ts';
import type { Client, Resource } from './client.ts';
import { KIND_OF_FIELD, KINDS, type KindName } from './kinds.ts';

/** Where the collection is; a member's and a rule's is below `parent`, a name or id. */
export async function collectionOf(client: Client, kindName: KindName, parent?: string): Promise<string> {
  const { path, parent: parentKind } = KINDS[kindName];
  if (!parentKind) return path;
  return path.replace(':parent', await resolveId(client, parentKind, parent!));
}

/** The id of the thing; what looks like an id is not looked up, since the request it is for will tell. */
export async function resolveId(client: Client, kindName: KindName, text: string): Promise<string> {
  if (isUuid(text)) return text.toLowerCase();
  if (kindName === 'project') {
    const own = await client.findOwnProject();
    if (own?.name === text) return own.id;
  }
  try {
    return (await findOne(client, kindName, text)).row.id;
  } catch (error) {
    // Where projects are no business of the user's, or nobody knows them, the text itself is all there is.
    if (kindName === 'project' && [403, 404].includes((error as CliError).httpStatus ?? 0)) return text;
    throw error;
  }
}

/** Names to ids, wherever in a body or a query a field holds such a thing. */
export async function resolveNames<T>(client: Client, value: T): Promise<T> {
  const known = new Map<string, Promise<string>>();
  const resolve = (kindName: KindName, text: string) => {
    const key = `${kindName} ${text}`;
    const id = known.get(key) ?? resolveId(client, kindName, text);
    known.set(key, id);
    return id;
  };
  const walk = async (each: unknown, kindName?: KindName): Promise<unknown> => {
    if (Array.isArray(each)) return Promise.all(each.map(item => walk(item, kindName)));
    if (typeof each === 'string' && kindName) return resolve(kindName, each);
    if (typeof each !== 'object' || each === null) return each;
    const entries = Object.entries(each).map(async ([k, v]) => [k, await walk(v, KIND_OF_FIELD[k])] as const);
    return Object.fromEntries(await Promise.all(entries));
  };
  return (await walk(value)) as T;
}

/** The thing and its path; throws when there is none, or more than one of that name. An URL's end counts as the id. */
export async function findOne(
  client: Client,
  kindName: KindName,
  text: string,
  parent?: string,
): Promise<{ row: Resource; path: string }> {
  const { one, key, named, by } = KINDS[kindName];
  const collection = await collectionOf(client, kindName, parent);
  const id = by ? await resolveId(client, by, text) : text.replace(/^https?:.*\//, '');
  if (by || key === 'name' || !named || isUuid(id)) {
    const path = `${collection}/${encodeURIComponent(id)}`;
    try {
      return { row: await client.get(path), path };
    } catch (error) {
      if (![400, 404].includes((error as CliError).httpStatus ?? 0)) throw error;
    }
  }
  const rows = key === 'id' && named && !by ? await client.list(collection, { name: text }) : [];
  if (rows.length > 1)
    throw new CliError(`Cannot choose among ${rows.length} of the name ${text}: say the id of the ${one}`);
  const [row] = rows;
  if (row) return { row, path: `${collection}/${row.id}` };
  const names = (await client.list(collection)).map(each => String(each.name || each.id));
  throw new CliError(`Cannot find ${one} ${text}: none has this name or id; ${adviceOf(text, names)}`);
}

function adviceOf(text: string, names: readonly string[]): string {
  const near = closest(text, names);
  if (near.length > 0) return `did you mean ${near.join(' or ')}?`;
  if (names.length === 0) return 'there is none at all';
  return `there ${names.length === 1 ? 'is' : 'are'} ${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}`;
}

/** Up to three names that someone who wrote `text` may have meant, the nearest first. */
export function closest(text: string, names: readonly string[]): string[] {
  const wanted = text.toLowerCase();
  return [...new Set(names)]
    .map(name => ({ name, distance: distance(wanted, name.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.max(1, name.length / 3) || name.startsWith(text))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ name }) => name);
}

/** How many letters must be put in, taken out, changed or swapped with the next to make one of the other. */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, i) => i)];
  for (let y = 1; y <= a.length; y++) {
    const row = [y];
    for (let x = 1; x <= b.length; x++) {
      const above = rows[y - 1]!;
      const change = above[x - 1]! + Number(a[y - 1] !== b[x - 1]);
      const isSwap = y > 1 && x > 1 && a[y - 1] === b[x - 2] && a[y - 2] === b[x - 1];
      const swap = isSwap ? rows[y - 2]![x - 2]! + 1 : change;
      row.push(Math.min(above[x]! + 1, row[x - 1]! + 1, change, swap));
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(text);
}
