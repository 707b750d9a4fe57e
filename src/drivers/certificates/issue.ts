/** Issues X.509 certificates with EC keys, such that strict verifiers accept them. */
import 'reflect-metadata';
import { createPrivateKey, createPublicKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { Secret } from '../../lib/secret.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A CA with the key to sign. */
export interface Issuer {
  pem: string;
  key: Secret;
  notAfter: Date;
}

export interface Validity {
  notBefore: Date;
  notAfter: Date;
}

export interface LeafSpec extends Validity {
  commonName: string;
  /** The SAN by which a peer knows it; a certificate that is only ever a client's needs none. */
  dnsName?: string;
}

/** A self-signed root that may sign leaves only. */
export async function issueAuthority(spec: Validity & { commonName: string }): Promise<Issuer> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerialNumber(),
    name: [{ CN: [spec.commonName] }],
    notBefore: spec.notBefore,
    notAfter: spec.notAfter,
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { pem: pemOf(certificate), key: await exportKey(keys.privateKey), notAfter: spec.notAfter };
}

/** Reads a certificate and its key as they were written; throws when the two do not belong together. */
export function readIssuer(pem: string, key: Secret): Issuer {
  const certificate = new X509Certificate(pem);
  if (!certificate.publicKey.equals(createPublicKey(key.reveal()))) {
    throw new Error(`The key of ${certificate.subject} belongs to another certificate`);
  }
  return { pem, key, notAfter: new Date(certificate.validTo) };
}

/**
 * A fresh key and a certificate for server and client. Source: contract controller.md 16.3; the two encipherments of its
 * key usage are left out, because they have no meaning for EC keys and strict verifiers forbid them (RFC 8813).
 */
export async function issueLeaf(
  issuer: Issuer,
  spec: LeafSpec,
): Promise<{ certificate: string; key: Secret }> {
  const [keys, signer] = await Promise.all([generateKeys(), signerOf(issuer)]);
  const keyUsage = x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyAgreement;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    subject: [{ CN: [spec.commonName] }],
    issuer: signer.subject,
    notBefore: spec.notBefore,
    notAfter: spec.notAfter,
    signingAlgorithm: signer.algorithm,
    publicKey: keys.publicKey,
    signingKey: signer.key,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(keyUsage, true),
      new x509.ExtendedKeyUsageExtension(
        [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
        true,
      ),
      ...(spec.dnsName
        ? [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: spec.dnsName }])]
        : []),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      signer.keyIdentifier,
    ],
  });
  return { certificate: pemOf(certificate), key: await exportKey(keys.privateKey) };
}

/** A revocation list of the issuer, which revokes nothing. */
export async function issueRevocationList(issuer: Issuer, validity: Validity): Promise<string> {
  const signer = await signerOf(issuer);
  const list = await x509.X509CrlGenerator.create({
    issuer: signer.subject,
    thisUpdate: validity.notBefore,
    nextUpdate: validity.notAfter,
    signingAlgorithm: signer.algorithm,
    signingKey: signer.key,
  });
  // OpenSSL knows this label only.
  return `${list.toString('pem').trim().replaceAll(' CRL-', ' X509 CRL-')}\n`;
}

interface Signer {
  subject: string;
  key: webcrypto.CryptoKey;
  algorithm: SigningAlgorithm;
  keyIdentifier: x509.AuthorityKeyIdentifierExtension;
}

/** Reading the CA takes as long as issuing a leaf, so it is done once. */
const signers = new WeakMap<Issuer, Promise<Signer>>();

function signerOf(issuer: Issuer): Promise<Signer> {
  const known = signers.get(issuer) ?? readSigner(issuer);
  signers.set(issuer, known);
  return known;
}

async function readSigner(issuer: Issuer): Promise<Signer> {
  const authority = new x509.X509Certificate(issuer.pem);
  return {
    subject: authority.subject,
    ...(await importKey(issuer.key)),
    keyIdentifier: await x509.AuthorityKeyIdentifierExtension.create(await authority.publicKey.export()),
  };
}

const generateKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

/** Positive and of 16 bytes, as a random UUID is. */
function newSerialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}

const pemOf = (certificate: x509.X509Certificate): string => `${certificate.toString('pem').trim()}\n`;

async function exportKey(key: webcrypto.CryptoKey): Promise<Secret> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  const pem = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({
    type: 'pkcs8',
    format: 'pem',
  });
  return new Secret(String(pem));
}

type SigningAlgorithm = typeof ALGORITHM | { name: string; namedCurve?: string; hash: string };

/** Authorities that an operator brings are RSA as often as not. */
async function importKey(key: Secret): Promise<{ key: webcrypto.CryptoKey; algorithm: SigningAlgorithm }> {
  const own = createPrivateKey(key.reveal());
  const curve = CURVES[own.asymmetricKeyDetails?.namedCurve ?? ''];
  const algorithm =
    own.asymmetricKeyType === 'rsa'
      ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
      : { ...ALGORITHM, namedCurve: curve ?? ALGORITHM.namedCurve };
  const der = own.export({ type: 'pkcs8', format: 'der' });
  return { key: await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']), algorithm };
}

/** OpenSSL's names and those of WebCrypto. */
const CURVES: Record<string, string> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' };
