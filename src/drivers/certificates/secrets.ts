/** The seam to the key manager: certificates, CAs and revocation lists by the references that users give. */
import type { Caller } from '../../model/caller.ts';
import type { Consumer } from '../../model/secret.ts';
import type { CertificateBundle, PemFile } from './bundle.ts';

/** On whose behalf: a user whose rights count, or this service, which may read whatever it was given a reference to. */
export type Reader = Caller | 'service';

/**
 * What is read throws `Fault` with a sentence about the thing: `not-found` when it is absent, `forbidden` when the
 * reader may not read it, `invalid` when it is something else than what is asked for.
 */
export interface SecretStore {
  /** Of a certificate container, of a PKCS#12 secret, or of a PEM secret. */
  getBundle(reference: string, reader: Reader): Promise<CertificateBundle>;
  getAuthorities(reference: string, reader: Reader): Promise<PemFile>;
  /** Throws `invalid` too when none of these CAs signed it. */
  getRevocationList(reference: string, authorities: PemFile, reader: Reader): Promise<PemFile>;
  /** Notes with the secret or container who uses it, so that its owner is warned. Repeating it changes nothing. */
  ensureConsumer(reference: string, consumer: Consumer): Promise<void>;
  /** Success also when the consumer, or what it used, is absent. */
  releaseConsumer(reference: string, consumer: Consumer): Promise<void>;
}

/** The id in a reference: the last part of its path, as clients of the key manager read it. undefined when it has none. */
export function findId(reference: string): string | undefined {
  const match = /(?:^|\/)([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\/?$/i.exec(reference);
  return match?.[1]?.toLowerCase();
}
