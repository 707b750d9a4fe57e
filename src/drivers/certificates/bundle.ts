/** What a listener or a pool needs of a certificate: leaf, chain and key that belong together, CAs, revocation lists. Pure. */
import 'reflect-metadata';
import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { timestamp } from '../../lib/clock.ts';
import { Secret } from '../../lib/secret.ts';
import { CONTEXT_0, children, readDer } from './der.ts';
import { CERTIFICATE, CRL, isPem, PKCS7, splitPem } from './pem.ts';
import { openPkcs12 } from './pkcs12.ts';

/** A file in the amphora: its name is `<id>.pem`. Source: contract amphora-agent.md 281 and 283. */
export interface PemFile {
  /** SHA-1 of what was stored, in hexadecimal. */
  id: string;
  pem: string;
}

export interface CertificateBundle {
  /** SHA-1 of the leaf as it was stored, in hexadecimal. */
  id: string;
  /** The leaf. */
  certificate: string;
  /** Not encrypted, in the traditional form where there is one. */
  key: Secret;
  /** The issuer of the leaf first, as far as they came along. */
  intermediates: string[];
  /** Common name first, then the other DNS names. */
  host_names: string[];
  /** Naive UTC. */
  expires_at: string;
}

/** The secrets of a certificate container, under their names there. Source: contract controller.md 10. */
export interface BundleParts {
  certificate: Secret<Buffer>;
  private_key: Secret<Buffer>;
  private_key_passphrase?: Secret<Buffer> | undefined;
  intermediates?: Secret<Buffer> | undefined;
}

/** Leaf, key, then chain: the content of `<id>.pem`. Source: contract amphora-agent.md 281. */
export function renderBundle({ certificate, key, intermediates }: CertificateBundle): Secret {
  return new Secret([certificate, key.reveal(), ...intermediates].join(''));
}

/** Throws one sentence when a part cannot be read, or key and certificate do not belong together. */
export function readParts(parts: BundleParts): CertificateBundle {
  const stored = parts.certificate.reveal();
  const [leaf, ...more] = sentenceFor('Its certificate cannot be read', () => readCertificates(stored));
  const chain = sentenceFor('Its intermediates cannot be read', () =>
    parts.intermediates ? readCertificates(parts.intermediates.reveal()) : [],
  );
  return bundleOf(leaf, readKey(parts), [...more, ...chain], sha1(stored));
}

/** A secret on its own: a PKCS#12 bundle without a password, or certificate, key and chain as PEM. Throws one sentence. */
export function readBundle(secret: Secret<Buffer>): CertificateBundle {
  const bytes = secret.reveal();
  if (isPem(bytes)) return readParts({ certificate: secret, private_key: secret });
  const { keys, certificates } = sentenceFor('It is not a PKCS#12 bundle that can be read', () =>
    openPkcs12(bytes, new Secret('')),
  );
  const [key] = keys;
  if (!key) throw new Error('It is a PKCS#12 bundle without a private key.');
  const leaf = certificates.find(certificate => certificate.checkPrivateKey(key)) ?? certificates[0];
  const others = certificates.filter(certificate => certificate !== leaf);
  return bundleOf(leaf, key, others, leaf && sha1(leaf.toString().trimEnd()));
}

/** One or more CAs. Throws one sentence. */
export function readAuthorities(secret: Secret<Buffer>): PemFile {
  const bytes = secret.reveal();
  const found = sentenceFor('It holds no CA certificate that can be read', () =>
    splitPem(bytes.toString(), CERTIFICATE).map(pem => new X509Certificate(pem)),
  );
  if (found.length === 0) throw new Error('It holds no CA certificate in PEM form.');
  return { id: sha1(bytes), pem: bytes.toString() };
}

/** A revocation list that one of the CAs signed. Throws one sentence. */
export async function readRevocationList(secret: Secret<Buffer>, authorities: PemFile): Promise<PemFile> {
  const bytes = secret.reveal();
  const lists = splitPem(bytes.toString(), CRL);
  if (lists.length === 0) throw new Error('It holds no certificate revocation list in PEM form.');
  const signers = splitPem(authorities.pem, CERTIFICATE).map(pem => new x509.X509Certificate(pem));
  for (const pem of lists) {
    const list = sentenceFor('Its certificate revocation list cannot be read', () => new x509.X509Crl(pem));
    const named = signers.filter(signer => signer.subject === list.issuer);
    const signed = await Promise.all(named.map(publicKey => list.verify({ publicKey })));
    if (!signed.includes(true)) throw new Error('It is not signed by the CA.');
  }
  return { id: sha1(bytes), pem: bytes.toString() };
}

function bundleOf(
  leaf: X509Certificate | undefined,
  key: KeyObject,
  others: X509Certificate[],
  id = '',
): CertificateBundle {
  if (!leaf) throw new Error('It holds no certificate.');
  if (!leaf.checkPrivateKey(key)) throw new Error('Its private key does not belong to its certificate.');
  const form = { rsa: 'pkcs1', ec: 'sec1' } as const;
  const type = form[key.asymmetricKeyType as keyof typeof form] ?? 'pkcs8';
  return {
    id,
    certificate: leaf.toString(),
    key: new Secret(String(key.export({ type, format: 'pem' }))),
    intermediates: inOrder(leaf, others).map(String),
    host_names: hostNames(leaf),
    expires_at: timestamp(leaf.validToDate.getTime()),
  };
}

/** Each issuer after what it issued; what issued none of them comes last, in the order in which it came. */
function inOrder(leaf: X509Certificate, others: readonly X509Certificate[]): X509Certificate[] {
  const distinct = new Map(others.map(each => [each.fingerprint256, each]));
  distinct.delete(leaf.fingerprint256);
  const left = [...distinct.values()];
  const chain: X509Certificate[] = [];
  for (let last = leaf; ; ) {
    const at = left.findIndex(each => last.checkIssued(each));
    if (at < 0) return [...chain, ...left];
    [last] = left.splice(at, 1) as [X509Certificate];
    chain.push(last);
  }
}

function hostNames({ subject, subjectAltName }: X509Certificate): string[] {
  const common = [...(subject ?? '').matchAll(/^CN=(.+)$/gm)];
  const dns = [...(subjectAltName ?? '').matchAll(/(?:^|, )DNS:([^,"]+)/g)];
  return [...new Set([...common, ...dns].map(match => match[1]!))];
}

function readKey({ private_key, private_key_passphrase }: BundleParts): KeyObject {
  const bytes = private_key.reveal();
  const passphrase = private_key_passphrase?.reveal();
  const form = isPem(bytes) ? { format: 'pem' as const } : { format: 'der' as const, type: 'pkcs8' as const };
  return sentenceFor(
    passphrase
      ? 'Its private key cannot be read with its passphrase'
      : 'Its private key cannot be read without a passphrase',
    () => createPrivateKey({ key: bytes, ...form, ...(passphrase && { passphrase }) }),
  );
}

/** As PEM, as PKCS#7, or a single one as DER. */
function readCertificates(bytes: Buffer): X509Certificate[] {
  if (!isPem(bytes)) {
    const [first] = children(readDer(bytes)[0]);
    return first?.tag === 0x06 ? readPkcs7(bytes) : [new X509Certificate(bytes)];
  }
  const text = bytes.toString();
  const certificates = splitPem(text, CERTIFICATE).map(pem => new X509Certificate(pem));
  const bags = splitPem(text, PKCS7).flatMap(pem =>
    readPkcs7(Buffer.from(pem.replace(/-----.*?-----/g, ''), 'base64')),
  );
  return [...certificates, ...bags];
}

function readPkcs7(bytes: Buffer): X509Certificate[] {
  const [, content] = children(readDer(bytes)[0]);
  const certificates = children(children(content, CONTEXT_0)[0]).find(value => value.tag === CONTEXT_0);
  return children(certificates, CONTEXT_0).map(({ whole }) => new X509Certificate(whole));
}

const sha1 = (content: Buffer | string): string => createHash('sha1').update(content).digest('hex');

/** OpenSSL's words are of no use to who stored the secret: they stay in the cause. */
function sentenceFor<T>(sentence: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const error = cause as Error;
    const isOurs = error.constructor === Error && !('code' in error);
    throw new Error(isOurs ? `${sentence}: ${error.message}.` : `${sentence}.`, { cause });
  }
}
