import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Secret } from '../lib/secret.ts';
import { openDatabase } from './open.ts';
import { SecretTables } from './secrets.ts';

const NOW = '2026-01-01T00:00:00.000000';
const PAYLOAD = 'correct horse battery staple';

let directory: string;
let keyFile: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'secrets-'));
  keyFile = join(directory, 'secrets.key');
});
afterEach(() => rmSync(directory, { recursive: true }));

async function openTables() {
  const db = await openDatabase(`sqlite:///${join(directory, 'test.db')}`);
  const opened = { db, [Symbol.asyncDispose]: () => db.destroy() };
  try {
    return { ...opened, rows: await SecretTables.open(db, keyFile, () => NOW) };
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

async function insert(rows: SecretTables, expiration: string | null = null): Promise<string> {
  const id = randomUUID();
  const item = {
    id,
    project_id: 'p',
    creator_id: null,
    name: 'n',
    acl: null,
    created_at: NOW,
    updated_at: NOW,
  };
  const fields = {
    secret_type: 'opaque' as const,
    algorithm: null,
    bit_length: null,
    mode: null,
    metadata: {},
  };
  const payload = new Secret(Buffer.from(PAYLOAD));
  await rows.insertSecret({ ...item, ...fields, expiration, content_type: 'text/plain' }, payload);
  return id;
}

test('payloads are found in no file, and are there after a restart', async () => {
  let id: string;
  {
    await using opened = await openTables();
    id = await insert(opened.rows);
    const files = readdirSync(directory).filter(name => name.startsWith('test.db'));
    for (const name of files) {
      const text = readFileSync(join(directory, name), 'latin1');
      expect(text).not.toContain(PAYLOAD);
      expect(text).not.toContain(Buffer.from(PAYLOAD).toString('base64').slice(0, 20));
    }
    expect(files).toContain('test.db-wal');
  }
  expect(statSync(keyFile).mode & 0o777).toBe(0o600);
  await using again = await openTables();
  expect((await again.rows.listPayloads([id])).get(id)?.reveal().toString()).toBe(PAYLOAD);
});

test('a key that is another one, damaged or gone is told in one sentence, and nothing is overwritten', async () => {
  await (await openTables())[Symbol.asyncDispose]();
  const key = readFileSync(keyFile, 'utf8');
  const sentence = `${keyFile} does not hold the key that they were encrypted with; put it back from a copy`;
  writeFileSync(keyFile, `${Buffer.alloc(32, 1).toString('base64')}\n`);
  await expect(openTables()).rejects.toThrow(sentence);
  writeFileSync(keyFile, 'short');
  await expect(openTables()).rejects.toThrow(`Cannot read the key in ${keyFile}`);
  rmSync(keyFile);
  await expect(openTables()).rejects.toThrow(sentence);
  expect(readdirSync(directory)).not.toContain('secrets.key');
  writeFileSync(keyFile, key);
  await (await openTables())[Symbol.asyncDispose]();
});

test('a payload that was moved to another row cannot be read there', async () => {
  await using opened = await openTables();
  const { rows, db } = opened;
  const [one, two] = [await insert(rows), await insert(rows)];
  const { sealed_payload } = await db
    .selectFrom('secret')
    .select('sealed_payload')
    .where('id', '=', one)
    .executeTakeFirstOrThrow();
  await db.updateTable('secret').set({ sealed_payload }).where('id', '=', two).execute();
  expect((await rows.listPayloads([one])).size).toBe(1);
  await expect(rows.listPayloads([two])).rejects.toThrow();
});

test('the same payload never looks the same', async () => {
  await using opened = await openTables();
  for (const _ of [1, 2, 3]) await insert(opened.rows);
  const sealed = await opened.db.selectFrom('secret').select('sealed_payload').execute();
  expect(new Set(sealed.map(row => row.sealed_payload)).size).toBe(3);
});

test('what has expired is as if it were not there', async () => {
  await using opened = await openTables();
  const { rows } = opened;
  const page = { project_id: 'p', conditions: [], sort: [], limit: 10, offset: 0 };
  const over = await insert(rows, NOW);
  const kept = await insert(rows, '2026-01-01T00:00:00.000001');
  expect(await rows.find('secret', over)).toBeUndefined();
  expect([...(await rows.listPayloads([over, kept])).keys()]).toEqual([kept]);
  expect(await rows.listPage('secret', page)).toMatchObject({ items: [{ id: kept }], total: 1 });
});
