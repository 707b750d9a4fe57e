/** The TypeScript files of the repository, for the tests that read them. */
import { globSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..');

/** Paths relative to the root, sorted; tests are among them. */
export function listSources(...rooms: string[]): string[] {
  return rooms.flatMap(room => globSync(`${room}/**/*.ts`, { cwd: ROOT })).sort();
}
