/** What every store of secrets must do: run by each implementation's test. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Caller } from '../../model/caller.ts';
import type { Consumer } from '../../model/secret.ts';
import { renderBundle } from './bundle.ts';
import type { SecretStore } from './secrets.ts';

/** What it was filled with, each by its reference. */
export interface SecretReferences {
  certificateContainer: string;
  pkcs12: string;
  authorities: string;
  revocationList: string;
  /** Only for a store that knows what it has. */
  strict?: {
    absent: string;
    foreignRevocationList: string;
    genericContainer: string;
    withoutPayload: string;
    containerOfUnreadable: string;
    mismatched: string;
  };
}

export interface SecretsSubject {
  store: SecretStore;
  references: SecretReferences;
  listConsumers(reference: string): Promise<Consumer[]>;
  tearDown(): Promise<void>;
}

/** Who made all of it, unless a test says otherwise. */
export const OWNER: Caller = {
  user_id: 'owner',
  project_id: 'project',
  domain_id: null,
  system_scope: null,
  roles: ['member'],
  is_admin: false,
};
export const STRANGER: Caller = { ...OWNER, user_id: 'stranger', project_id: 'elsewhere' };

export function secretsContract(name: string, setUp: () => Promise<SecretsSubject>): void {
  describe(`${name} as store of secrets`, () => {
    let subject: SecretsSubject;

    beforeAll(async () => {
      subject = await setUp();
    });
    afterAll(() => subject.tearDown());

    test('gives a bundle whose key and certificate belong together, to its owner and to the service', async () => {
      const { store, references } = subject;
      for (const reference of [references.certificateContainer, references.pkcs12]) {
        for (const reader of [OWNER, 'service'] as const) {
          const bundle = await store.getBundle(reference, reader);
          expect(bundle.id).toMatch(/^[0-9a-f]{40}$/);
          const key = createPrivateKey(bundle.key.reveal());
          expect(new X509Certificate(bundle.certificate).checkPrivateKey(key)).toBe(true);
          expect(renderBundle(bundle).reveal()).toContain(bundle.certificate + bundle.key.reveal());
        }
      }
    });

    test('gives CAs, and a revocation list that one of them signed', async () => {
      const { store, references } = subject;
      const authorities = await store.getAuthorities(references.authorities, OWNER);
      expect(new X509Certificate(authorities.pem).subject).toContain('CN=');
      const list = await store.getRevocationList(references.revocationList, authorities, 'service');
      expect(list.pem).toContain('BEGIN X509 CRL');
      expect(list.id).not.toBe(authorities.id);
    });

    test('notes each consumer once, and forgets it', async () => {
      const { store, references, listConsumers } = subject;
      const [one, two] = ['1', '2'].map(resource_id => ({ service: 's', resource_type: 't', resource_id }));
      for (const reference of [references.certificateContainer, references.pkcs12]) {
        for (const consumer of [one, two, one]) await store.ensureConsumer(reference, consumer!);
        expect(await listConsumers(reference)).toEqual([one, two]);
        for (const consumer of [one, one]) await store.releaseConsumer(reference, consumer!);
        expect(await listConsumers(reference)).toEqual([two]);
        await store.releaseConsumer(reference, two!);
      }
    });

    test('says what is wrong with a reference', async ({ skip }) => {
      const { store, references } = subject;
      const { strict } = references;
      if (!strict) return skip('it has whatever it is asked for');
      const authorities = await store.getAuthorities(references.authorities, OWNER);
      const list = (reference: string) => store.getRevocationList(reference, authorities, OWNER);
      // Each asked when its turn comes: what is refused before anybody waits for it counts as a failure that nobody handled.
      const cases: [() => Promise<unknown>, kind: string, sentence: string][] = [
        [() => store.getBundle(strict.absent, OWNER), 'not-found', 'no such secret or container'],
        [() => store.getBundle('nonsense', OWNER), 'not-found', 'no such secret or container'],
        [() => store.getBundle(references.pkcs12, STRANGER), 'forbidden', 'You may not read it.'],
        [
          () => store.getBundle(strict.containerOfUnreadable, OWNER),
          'forbidden',
          'not read its private_key.',
        ],
        [
          () => store.getBundle(strict.genericContainer, OWNER),
          'invalid',
          'of type generic, not of type certificate',
        ],
        [() => store.getBundle(strict.withoutPayload, OWNER), 'invalid', 'without a payload'],
        [
          () => store.getBundle(strict.mismatched, OWNER),
          'invalid',
          'key does not belong to its certificate',
        ],
        [() => store.getBundle(references.revocationList, OWNER), 'invalid', 'private key cannot be read'],
        [() => store.getAuthorities(references.pkcs12, OWNER), 'invalid', 'no CA certificate in PEM form'],
        [
          () => store.getAuthorities(references.certificateContainer, OWNER),
          'invalid',
          'where a secret is needed',
        ],
        [() => list(strict.foreignRevocationList), 'invalid', 'not signed by the CA'],
        [() => list(references.authorities), 'invalid', 'no certificate revocation list'],
      ];
      for (const [ask, kind, sentence] of cases)
        await expect(ask()).rejects.toMatchObject({ kind, message: expect.stringContaining(sentence) });
      await store.releaseConsumer(strict.absent, { service: 's' });
    });
  });
}
