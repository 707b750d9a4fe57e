import { randomUUID } from 'node:crypto';
import { SecretTables } from '../../db/secrets.ts';
import { givenDatabase } from '../../db/testing.ts';
import { timestamp } from '../../lib/clock.ts';
import { SealingKey } from '../../lib/sealing-key.ts';
import { Secret } from '../../lib/secret.ts';
import type { KeptItem } from '../../model/secret.ts';
import { Certificates } from './certificates.fixture.ts';
import { LocalSecrets } from './local-secrets.ts';
import { NoopSecrets } from './noop-secrets.ts';
import { OWNER, secretsContract } from './secrets.contract.ts';
import { findId } from './secrets.ts';

const BASE = 'http://cloud.example/key-manager/v1';

secretsContract('LocalSecrets', async () => {
  const db = await givenDatabase();
  const made = new Certificates();
  const now = () => timestamp(Date.now());
  const rows = new SecretTables(db, new SealingKey(new Secret(Buffer.alloc(32, 7))), now);
  const newItem = (): KeptItem => ({
    ...{ id: randomUUID(), project_id: OWNER.project_id!, creator_id: OWNER.user_id, name: null, acl: null },
    ...{ created_at: now(), updated_at: now() },
  });

  async function secret(payload: Buffer | undefined, set: Partial<KeptItem> = {}): Promise<string> {
    const item = { ...newItem(), ...set };
    const fields = { algorithm: null, bit_length: null, mode: null, expiration: null, metadata: {} };
    const content_type = payload ? 'application/octet-stream' : null;
    const kept = { ...item, ...fields, content_type, secret_type: 'opaque' as const };
    await rows.insertSecret(kept, payload ? new Secret(payload) : null);
    return `${BASE}/secrets/${item.id}`;
  }
  async function container(type: 'certificate' | 'generic', parts: Record<string, string>): Promise<string> {
    const item = newItem();
    const refs = Object.entries(parts).map(([name, reference]) => ({ name, secret_id: findId(reference)! }));
    await rows.insertContainer({ ...item, type }, refs);
    return `${BASE}/containers/${item.id}/`;
  }
  const file = (name: string) => secret(made.bytes(name));

  const certificate = await file('leaf.pem');
  const private_key = await file('leaf.key');
  const intermediates = await file('intermediate.pem');
  const own = { users: [], project_access: false, created: now(), updated: now() };
  const unreadable = await secret(made.bytes('leaf.key'), { creator_id: 'somebody', acl: own });
  return {
    store: new LocalSecrets(rows),
    references: {
      certificateContainer: await container('certificate', { certificate, private_key, intermediates }),
      pkcs12: await secret(made.pkcs12()),
      authorities: await file('root.pem'),
      revocationList: await file('root.crl'),
      strict: {
        absent: `${BASE}/secrets/${randomUUID()}`,
        foreignRevocationList: await file('stranger.crl'),
        genericContainer: await container('generic', { certificate, private_key }),
        withoutPayload: await secret(undefined),
        containerOfUnreadable: await container('certificate', { certificate, private_key: unreadable }),
        mismatched: await container('certificate', {
          certificate,
          private_key: await file('stranger.key'),
        }),
      },
    },
    async listConsumers(reference) {
      const id = findId(reference)!;
      return ((await rows.listConsumers([id])).get(id) ?? []).map(({ consumer }) => consumer);
    },
    async tearDown() {
      made[Symbol.dispose]();
      await db.destroy();
    },
  };
});

secretsContract('NoopSecrets', async () => {
  const store = new NoopSecrets();
  return {
    store,
    references: {
      certificateContainer: 'container',
      pkcs12: 'bundle',
      authorities: 'authorities',
      revocationList: 'list',
    },
    listConsumers: async reference =>
      [...(store.consumers.get(reference) ?? [])].map(text => JSON.parse(text)),
    tearDown: async () => {},
  };
});
