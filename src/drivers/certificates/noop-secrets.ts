/** A key manager that has whatever it is asked for: the same sample behind every reference, made when it is first needed. */
import { Secret } from '../../lib/secret.ts';
import type { Consumer } from '../../model/secret.ts';
import {
  type CertificateBundle,
  type PemFile,
  readAuthorities,
  readParts,
  readRevocationList,
} from './bundle.ts';
import { issueAuthority, issueLeaf, issueRevocationList } from './issue.ts';
import type { SecretStore } from './secrets.ts';

const YEAR_MS = 365 * 86_400_000;

export class NoopSecrets implements SecretStore {
  /** As JSON, by the reference that they use. */
  readonly consumers = new Map<string, Set<string>>();

  async getBundle(): Promise<CertificateBundle> {
    return (await this.#get()).bundle;
  }

  async getAuthorities(): Promise<PemFile> {
    return (await this.#get()).authorities;
  }

  async getRevocationList(): Promise<PemFile> {
    return (await this.#get()).revocationList;
  }

  async ensureConsumer(reference: string, consumer: Consumer): Promise<void> {
    const consumers = this.consumers.get(reference) ?? new Set();
    this.consumers.set(reference, consumers.add(JSON.stringify(consumer)));
  }

  async releaseConsumer(reference: string, consumer: Consumer): Promise<void> {
    this.consumers.get(reference)?.delete(JSON.stringify(consumer));
  }

  #get() {
    sample ??= makeSample();
    return sample;
  }
}

/** One for the process, as two processes of a real system would find the same. */
let sample: Promise<{ bundle: CertificateBundle; authorities: PemFile; revocationList: PemFile }> | undefined;

async function makeSample() {
  const validity = { notBefore: new Date(), notAfter: new Date(Date.now() + YEAR_MS) };
  const authority = await issueAuthority({ ...validity, commonName: 'Sample CA' });
  const leaf = { ...validity, commonName: 'sample.example', dnsName: 'sample.example' };
  const { certificate, key } = await issueLeaf(authority, leaf);
  const bytes = (pem: string) => new Secret(Buffer.from(pem));
  const authorities = readAuthorities(bytes(authority.pem));
  return {
    bundle: readParts({ certificate: bytes(certificate), private_key: bytes(key.reveal()) }),
    authorities,
    revocationList: await readRevocationList(
      bytes(await issueRevocationList(authority, validity)),
      authorities,
    ),
  };
}
