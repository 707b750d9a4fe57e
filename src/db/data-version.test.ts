import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findDataVersion } from './data-version.ts';
import { openDatabase } from './open.ts';
import { setSystemFact } from './system.ts';

const network = (id: string) => ({ id, name: 'n', project_id: null, mtu: 1500, created_at: '' }) as never;

test('changes with every write that an answer can show, of this connection and of others, and with no other', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-version-'));
  const url = `sqlite:///${join(directory, 'a.db')}`;
  const db = await openDatabase(url);
  const other = await openDatabase(url);
  const first = findDataVersion(db);
  expect(first).toBeDefined();
  await db.selectFrom('network').selectAll().execute();
  await setSystemFact(db, 'name', 'value');
  expect(findDataVersion(db)).toBe(first);

  await db.insertInto('network').values(network('1')).execute();
  const second = findDataVersion(db);
  expect(second).not.toBe(first);
  await db.transaction().execute(async trx => {
    await trx.updateTable('network').set({ name: 'm' }).execute();
  });
  const third = findDataVersion(db);
  expect(third).not.toBe(second);
  await other.deleteFrom('network').execute();
  expect(findDataVersion(db)).not.toBe(third);
  await Promise.all([db.destroy(), other.destroy()]);
  rmSync(directory, { recursive: true });
});

test('is unknown of a database that is not open here', () => {
  expect(findDataVersion({} as never)).toBeUndefined();
});
