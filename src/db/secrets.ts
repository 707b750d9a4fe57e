/** Secrets and containers of the key manager; payloads lie in their rows encrypted, and never otherwise. */

import { SealingKey } from '../lib/sealing-key.ts';
import { Secret } from '../lib/secret.ts';
import type { Acl, Consumer, KeptSecret, SecretContainer } from '../model/secret.ts';
import { decodeRow, encodeRow } from './rows.ts';
import type { Db, Trx } from './schema.ts';
import { findSystemFact, setSystemFact } from './system.ts';

/** The tables of items, by what the API calls them. */
export const ITEM_TABLES = { secrets: 'secret', containers: 'secret_container' } as const;
export type ItemTable = (typeof ITEM_TABLES)[keyof typeof ITEM_TABLES];
export type Item<T extends ItemTable> = T extends 'secret' ? KeptSecret : SecretContainer;

export interface SecretCondition {
  column: string;
  is: '=' | '<' | '<=' | '>' | '>=';
  value: string | number;
}

export interface SecretPage {
  project_id: string;
  conditions: readonly SecretCondition[];
  sort: readonly { column: string; descending: boolean }[];
  limit: number;
  offset: number;
}

/** A secret of a container, under its name there. */
export interface Part {
  name: string;
  secret_id: string;
}

const PROOF = 'secrets_key_proof';
/** All but the payload: what is never decrypted is never read. */
const SECRET_COLUMNS = [
  ...(['id', 'project_id', 'creator_id', 'name', 'acl', 'created_at', 'updated_at'] as const),
  ...(['secret_type', 'algorithm', 'bit_length', 'mode', 'expiration', 'content_type', 'metadata'] as const),
];

export class SecretTables {
  readonly #db: Db;
  readonly #key: SealingKey;
  /** Naive UTC: what has expired by now is as if it were not there. */
  readonly #now: () => string;

  constructor(db: Db, key: SealingKey, now: () => string) {
    this.#db = db;
    this.#key = key;
    this.#now = now;
  }

  /** With the key in the file, which is made at the first start. Throws when it is not the key that sealed the payloads. */
  static async open(db: Db, keyFile: string, now: () => string): Promise<SecretTables> {
    const refuse = (cause?: unknown) =>
      new Error(
        `Cannot read the secrets of the key manager: ${keyFile} does not hold the key that they were encrypted with; put it back from a copy`,
        { cause },
      );
    const proof = await findSystemFact(db, PROOF);
    const found = await SealingKey.find(keyFile);
    if (!found && proof !== undefined) throw refuse();
    const key = found ?? (await SealingKey.create(keyFile));
    if (proof === undefined) {
      await setSystemFact(db, PROOF, key.seal(new Secret(Buffer.from(PROOF)), PROOF));
    } else {
      try {
        key.open(proof, PROOF);
      } catch (cause) {
        throw refuse(cause);
      }
    }
    return new SecretTables(db, key, now);
  }

  async insertSecret(secret: KeptSecret, payload: Secret<Buffer> | null): Promise<void> {
    const sealed_payload = payload && this.#key.seal(payload, secret.id);
    await this.#db
      .insertInto('secret')
      .values({ ...encodeRow('secret', secret), sealed_payload })
      .execute();
  }

  /** false when the secret has a payload already. */
  async storePayload(id: string, contentType: string, payload: Secret<Buffer>): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('secret')
      .set({
        content_type: contentType,
        sealed_payload: this.#key.seal(payload, id),
        updated_at: this.#now(),
      })
      .where('id', '=', id)
      .where('sealed_payload', 'is', null)
      .executeTakeFirst();
    return numUpdatedRows > 0;
  }

  /** By id; secrets without a payload, expired or unknown are not among them. */
  async listPayloads(ids: readonly string[]): Promise<Map<string, Secret<Buffer>>> {
    if (ids.length === 0) return new Map();
    const rows = await this.#secrets().select(['id', 'sealed_payload']).where('id', 'in', ids).execute();
    return new Map(
      rows.flatMap(({ id, sealed_payload }) =>
        sealed_payload === null ? [] : [[id, this.#key.open(sealed_payload, id)] as const],
      ),
    );
  }

  async find<T extends ItemTable>(table: T, id: string): Promise<Item<T> | undefined> {
    const [item] = await this.listByIds(table, [id]);
    return item;
  }

  async listByIds<T extends ItemTable>(table: T, ids: readonly string[]): Promise<Item<T>[]> {
    if (ids.length === 0) return [];
    const rows = await this.#items(table).where('id', 'in', ids).execute();
    return rows.map(row => decodeRow(table, row as never) as Item<T>);
  }

  /** One page, and how many there are on all of them. */
  async listPage<T extends ItemTable>(
    table: T,
    page: SecretPage,
  ): Promise<{ items: Item<T>[]; total: number }> {
    let query = this.#items(table).where('project_id', '=', page.project_id);
    for (const { column, is, value } of page.conditions)
      query = query.where(column as 'id', is, value as string);
    const { total } = await query
      .clearSelect()
      .select(({ fn }) => fn.countAll().as('total'))
      .executeTakeFirstOrThrow();
    for (const { column, descending } of [
      ...page.sort,
      { column: 'created_at', descending: false },
      { column: 'id', descending: false },
    ])
      query = query.orderBy(column as 'id', descending ? 'desc' : 'asc');
    const rows = await query.limit(page.limit).offset(page.offset).execute();
    return { items: rows.map(row => decodeRow(table, row as never) as Item<T>), total: Number(total) };
  }

  async update<T extends ItemTable>(
    table: T,
    id: string,
    set: { acl: Acl | null } | { metadata: Record<string, string> },
  ): Promise<void> {
    const row = encodeRow(table as 'secret', { ...set, updated_at: this.#now() });
    await this.#db
      .updateTable(table as 'secret')
      .set(row)
      .where('id', '=', id)
      .execute();
  }

  /** A secret leaves its containers; the secrets of a container stay. */
  async delete(table: ItemTable, id: string): Promise<void> {
    await this.#db.transaction().execute(async trx => {
      await trx.deleteFrom('secret_consumer').where('item_id', '=', id).execute();
      await trx
        .deleteFrom(table as 'secret')
        .where('id', '=', id)
        .execute();
    });
  }

  async insertContainer(container: SecretContainer, parts: readonly Part[]): Promise<void> {
    await this.#db.transaction().execute(async trx => {
      await trx.insertInto('secret_container').values(encodeRow('secret_container', container)).execute();
      await insertParts(trx, container.id, parts);
    });
  }

  async addPart(containerId: string, part: Part): Promise<void> {
    await this.#db.transaction().execute(async trx => {
      await deletePart(trx, containerId, part);
      await insertParts(trx, containerId, [part]);
    });
  }

  /** Absent is success. */
  async removePart(containerId: string, part: Part): Promise<void> {
    await this.#db.transaction().execute(trx => deletePart(trx, containerId, part));
  }

  /** By container, each list in the order of the names. */
  async listParts(containerIds: readonly string[]): Promise<Map<string, Part[]>> {
    if (containerIds.length === 0) return new Map();
    const rows = await this.#db
      .selectFrom('container_secret')
      .selectAll()
      .where('container_id', 'in', containerIds)
      .orderBy('name')
      .orderBy('secret_id')
      .execute();
    return Map.groupBy(rows, row => row.container_id);
  }

  /** By item, the oldest first. */
  async listConsumers(itemIds: readonly string[]) {
    if (itemIds.length === 0) return new Map<string, { consumer: Consumer; created_at: string }[]>();
    const rows = await this.#db
      .selectFrom('secret_consumer')
      .selectAll()
      .where('item_id', 'in', itemIds)
      .orderBy('created_at')
      .execute();
    const consumers = rows.map(row => ({ ...row, consumer: JSON.parse(row.consumer) as Consumer }));
    return Map.groupBy(consumers, row => row.item_id);
  }

  /** Whoever is there already stays as he is. */
  async ensureConsumer(itemId: string, consumer: Consumer): Promise<void> {
    const row = { item_id: itemId, consumer: JSON.stringify(consumer) };
    await this.#db.transaction().execute(async trx => {
      const known = await trx
        .selectFrom('secret_consumer')
        .select('item_id')
        .where('item_id', '=', itemId)
        .where('consumer', '=', row.consumer)
        .executeTakeFirst();
      if (!known)
        await trx
          .insertInto('secret_consumer')
          .values({ ...row, created_at: this.#now() })
          .execute();
    });
  }

  /** Returns whether it was there. */
  async releaseConsumer(itemId: string, consumer: Consumer): Promise<boolean> {
    const { numDeletedRows } = await this.#db
      .deleteFrom('secret_consumer')
      .where('item_id', '=', itemId)
      .where('consumer', '=', JSON.stringify(consumer))
      .executeTakeFirst();
    return numDeletedRows > 0;
  }

  #secrets() {
    const now = this.#now();
    return this.#db
      .selectFrom('secret')
      .where(({ eb, or }) => or([eb('expiration', 'is', null), eb('expiration', '>', now)]));
  }

  #items(table: ItemTable) {
    const secrets = this.#secrets().select(SECRET_COLUMNS);
    return table === 'secret'
      ? secrets
      : (this.#db.selectFrom('secret_container').selectAll() as never as typeof secrets);
  }
}

async function insertParts(trx: Trx, container_id: string, parts: readonly Part[]): Promise<void> {
  const rows = parts.map(({ name, secret_id }) => ({ container_id, name, secret_id }));
  if (rows.length > 0) await trx.insertInto('container_secret').values(rows).execute();
}

async function deletePart(trx: Trx, containerId: string, { name, secret_id }: Part): Promise<void> {
  await trx
    .deleteFrom('container_secret')
    .where('container_id', '=', containerId)
    .where('secret_id', '=', secret_id)
    .where('name', '=', name)
    .execute();
}
