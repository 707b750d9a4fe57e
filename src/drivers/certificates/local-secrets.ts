/** The key manager of the standalone cloud, read where it lies. */
import { Fault } from '../../lib/errors.ts';
import type { Secret } from '../../lib/secret.ts';
import {
  type Consumer,
  type KeptItem,
  type KeptSecret,
  mayUse,
  type SecretContainer,
} from '../../model/secret.ts';
import {
  type CertificateBundle,
  type PemFile,
  readAuthorities,
  readBundle,
  readParts,
  readRevocationList,
} from './bundle.ts';
import { findId, type Reader, type SecretStore } from './secrets.ts';

/** The rows, as `db/secrets.ts` keeps them. */
export interface SecretRows {
  find(table: 'secret' | 'secret_container', id: string): Promise<KeptSecret | SecretContainer | undefined>;
  listByIds(table: 'secret', ids: readonly string[]): Promise<KeptItem[]>;
  listParts(containerIds: readonly string[]): Promise<Map<string, { name: string; secret_id: string }[]>>;
  listPayloads(ids: readonly string[]): Promise<Map<string, Secret<Buffer>>>;
  ensureConsumer(itemId: string, consumer: Consumer): Promise<void>;
  releaseConsumer(itemId: string, consumer: Consumer): Promise<unknown>;
}

export class LocalSecrets implements SecretStore {
  readonly #rows: SecretRows;

  constructor(rows: SecretRows) {
    this.#rows = rows;
  }

  async getBundle(reference: string, reader: Reader): Promise<CertificateBundle> {
    const item = await this.#get(reference, reader);
    if (!('type' in item)) {
      const payload = await this.#payload(item);
      return asInvalid(() => readBundle(payload));
    }
    if (item.type !== 'certificate')
      throw new Fault('invalid', `It is a container of type ${item.type}, not of type certificate.`);
    const parts = await this.#parts(item, reader);
    const { certificate, private_key, private_key_passphrase, intermediates } = parts;
    if (!certificate) throw new Fault('invalid', 'It is a container without a certificate.');
    if (!private_key) throw new Fault('invalid', 'It is a container without a private_key.');
    return asInvalid(() => readParts({ certificate, private_key, private_key_passphrase, intermediates }));
  }

  async getAuthorities(reference: string, reader: Reader): Promise<PemFile> {
    const payload = await this.#secret(reference, reader);
    return asInvalid(() => readAuthorities(payload));
  }

  async getRevocationList(reference: string, authorities: PemFile, reader: Reader): Promise<PemFile> {
    const payload = await this.#secret(reference, reader);
    return asInvalid(() => readRevocationList(payload, authorities));
  }

  async ensureConsumer(reference: string, consumer: Consumer): Promise<void> {
    await this.#rows.ensureConsumer((await this.#get(reference, 'service')).id, consumer);
  }

  async releaseConsumer(reference: string, consumer: Consumer): Promise<void> {
    const id = findId(reference);
    if (id) await this.#rows.releaseConsumer(id, consumer);
  }

  async #get(reference: string, reader: Reader): Promise<KeptSecret | SecretContainer> {
    const id = findId(reference);
    const item =
      id && ((await this.#rows.find('secret', id)) ?? (await this.#rows.find('secret_container', id)));
    if (!item) throw new Fault('not-found', 'The key manager has no such secret or container.');
    checkReader(item, reader, 'You may not read it.');
    return item;
  }

  async #secret(reference: string, reader: Reader): Promise<Secret<Buffer>> {
    const item = await this.#get(reference, reader);
    if ('type' in item) throw new Fault('invalid', 'It is a container, where a secret is needed.');
    return this.#payload(item);
  }

  async #payload({ id }: KeptSecret): Promise<Secret<Buffer>> {
    const payload = (await this.#rows.listPayloads([id])).get(id);
    if (!payload) throw new Fault('invalid', 'It is a secret without a payload.');
    return payload;
  }

  /** By name. Who may read a container need not be allowed to read what is in it. */
  async #parts(
    container: SecretContainer,
    reader: Reader,
  ): Promise<Record<string, Secret<Buffer> | undefined>> {
    const parts = (await this.#rows.listParts([container.id])).get(container.id) ?? [];
    const ids = parts.map(part => part.secret_id);
    for (const secret of await this.#rows.listByIds('secret', ids)) {
      const name = parts.find(part => part.secret_id === secret.id)!.name;
      checkReader(secret, reader, `You may not read its ${name}.`);
    }
    const payloads = await this.#rows.listPayloads(ids);
    return Object.fromEntries(parts.map(({ name, secret_id }) => [name, payloads.get(secret_id)]));
  }
}

function checkReader(item: KeptItem, reader: Reader, sentence: string): void {
  if (reader !== 'service' && !mayUse(reader, 'read', item)) throw new Fault('forbidden', sentence);
}

async function asInvalid<T>(read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw new Fault('invalid', (cause as Error).message, { cause });
  }
}
