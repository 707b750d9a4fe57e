/** Who may import whom: the table of rooms and floors, and the function that holds a file's imports against it. */
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path/posix';

interface Room {
  floor: number;
  /** A fenced room imports these rooms only, whatever floors they are on; `main` may import it all the same. */
  only?: string[];
  /** May it import Node's own modules? */
  node: boolean;
  /** May it import npm packages? */
  npm: boolean;
}

/** Imports go down, never up, never sideways. */
export const ROOMS: Record<string, Room> = {
  main: { floor: 5, node: true, npm: true },
  api: { floor: 4, node: true, npm: true },
  worker: { floor: 4, node: true, npm: true },
  'health-manager': { floor: 4, node: true, npm: true },
  housekeeping: { floor: 4, node: true, npm: true },
  standalone: { floor: 4, node: true, npm: true },
  agent: { floor: 4, only: ['wire', 'model', 'lib'], node: true, npm: false },
  cli: { floor: 4, only: ['model', 'lib'], node: true, npm: true },
  providers: { floor: 3, node: true, npm: true },
  drivers: { floor: 2, node: true, npm: true },
  db: { floor: 2, node: true, npm: true },
  queue: { floor: 2, node: true, npm: true },
  dataplane: { floor: 1, node: true, npm: false },
  wire: { floor: 1, node: true, npm: false },
  model: { floor: 0, node: false, npm: false },
  lib: { floor: 0, node: true, npm: true },
};

/** Modules that one place alone may import: a room, or a file. */
export const OWNERS: Record<string, { owner: string; because: string }> = {
  kysely: { owner: 'db/', because: 'only db knows SQL' },
  'node:sqlite': { owner: 'db/', because: 'only db knows SQL' },
  mysql2: { owner: 'db/', because: 'only db knows SQL' },
  pg: { owner: 'db/', because: 'only db knows SQL' },
  amqplib: { owner: 'queue/rabbitmq.ts', because: 'only queue/rabbitmq.ts knows the broker' },
};

/** Tests, contract suites and what only they use may look at everything. */
export const isTestFile = (path: string): boolean =>
  /(\.test|\.contract|\.fixture|(^|\/|\.)testing(-[a-z]+)*)\.ts$/.test(path);

export interface Import {
  line: number;
  /** The source line, trimmed. */
  text: string;
  /** What stands between the quotes. */
  specifier: string;
}

const FORMS = [
  // import … from 'x', export … from 'x'
  /^[ \t]*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/gm,
  // import 'x'
  /^[ \t]*import\s*['"]([^'"]+)['"]/gm,
  // import('x'), also as a type
  /\bimport\(\s*['"`]([^'"`]+)['"`]/g,
  /\brequire\(\s*['"`]([^'"`]+)['"`]/g,
];

/** Every import of a source text, in order of lines. */
export function importsOf(source: string): Import[] {
  const lines = source.split('\n');
  const found: Import[] = [];
  for (const form of FORMS) {
    for (const match of source.matchAll(form)) {
      const line = source.slice(0, match.index + match[0].length).split('\n').length;
      found.push({ line, text: lines[line - 1]!.trim(), specifier: match[1]! });
    }
  }
  return found.sort((a, b) => a.line - b.line);
}

/**
 * What is wrong with the imports of one file, `path` being relative to src: one sentence each, with the line and the reason.
 * `packages` are the npm packages that the product, not its development, depends on.
 */
export function violations(path: string, source: string, packages: readonly string[]): string[] {
  if (isTestFile(path)) return [];
  const room = path.split('/')[0]!;
  if (!ROOMS[room]) return [`src/${path}: ${room} is not a room; the table is in test/floors.ts`];
  return importsOf(source).flatMap(({ line, text, specifier }) => {
    const reason = specifier.startsWith('.')
      ? roomReason(room, join(dirname(path), specifier))
      : moduleReason(room, path, specifier, packages);
    return reason ? [`src/${path}:${line}: ${text} — ${reason}`] : [];
  });
}

/** `target` is relative to src, as `path` is. */
function roomReason(room: string, target: string): string | undefined {
  const other = target.split('/')[0]!;
  if (other === room) return isTestFile(target) ? 'a test is imported by tests only' : undefined;
  if (other === '..') return 'it leaves src';
  if (isTestFile(target)) return 'a test is imported by tests only';
  const [from, to] = [ROOMS[room]!, ROOMS[other]];
  if (!to) return `${other} is not a room; the table is in test/floors.ts`;
  if (from.only)
    return from.only.includes(other) ? undefined : `${room} may import only ${from.only.join(', ')}`;
  if (to.floor < from.floor) return undefined;
  const direction = to.floor === from.floor ? 'beside it' : 'above it';
  return `${room} (floor ${from.floor}) may not import ${other} (floor ${to.floor}), which is ${direction}`;
}

function moduleReason(
  room: string,
  path: string,
  specifier: string,
  packages: readonly string[],
): string | undefined {
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
  const fence = OWNERS[name];
  if (fence && !path.startsWith(fence.owner)) return fence.because;
  if (specifier.startsWith('node:'))
    return ROOMS[room]!.node ? undefined : `${room} is pure and imports nothing`;
  if (builtinModules.includes(name)) return `Node's own modules are written node:${specifier}`;
  if (!ROOMS[room]!.npm) return `${room} may not import an npm package`;
  return packages.includes(name) ? undefined : `${name} is not among the dependencies of package.json`;
}
