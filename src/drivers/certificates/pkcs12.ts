/** Opens PKCS#12 bundles: certificates and the private key. Source: RFC 7292, RFC 8018. */
import {
  createDecipheriv,
  createHash,
  createPrivateKey,
  type KeyObject,
  pbkdf2Sync,
  X509Certificate,
} from 'node:crypto';
import type { Secret } from '../../lib/secret.ts';
import { CONTEXT_0, children, type Der, integer, octets, oid, readDer } from './der.ts';
import { decryptRc2 } from './rc2.ts';

export interface Pkcs12 {
  keys: KeyObject[];
  certificates: X509Certificate[];
}

const DATA = '1.2.840.113549.1.7.1';
const ENCRYPTED_DATA = '1.2.840.113549.1.7.6';
const BAGS = '1.2.840.113549.1.12.10.1.';
const X509_BAG = '1.2.840.113549.1.9.22.1';

/** In one bundle; more of them would only keep a core busy. What is usual is 2048, twice. */
const MOST_ITERATIONS = 1_000_000;

interface Unlocking {
  password: Secret;
  iterationsLeft: number;
}

/**
 * Throws one sentence when the bytes are no bundle, or the password is wrong. The MAC is not looked at: it is made from the
 * password, which is empty where load balancers are concerned, and so proves nothing.
 */
export function openPkcs12(bytes: Buffer, password: Secret): Pkcs12 {
  const unlocking = { password, iterationsLeft: MOST_ITERATIONS };
  const [, authSafe] = children(readDer(bytes)[0]);
  const found: Pkcs12 = { keys: [], certificates: [] };
  for (const safe of children(readDer(contentOf(authSafe, DATA))[0])) {
    const [type, content] = children(safe);
    if (oid(type) === DATA) readBags(contentOf(safe, DATA), unlocking, found);
    else if (oid(type) === ENCRYPTED_DATA) {
      const [, info] = children(children(content, CONTEXT_0)[0]);
      const [, algorithm, sealed] = children(info);
      readBags(decrypt(algorithm, octets(sealed), unlocking), unlocking, found);
    } else throw new Error('It is encrypted for the holder of a key, not by a password');
  }
  return found;
}

function contentOf(info: Der | undefined, type: string): Buffer {
  const [found, content] = children(info);
  if (oid(found) !== type) throw new Error('It does not have the structure that was expected');
  return octets(children(content, CONTEXT_0)[0]);
}

function readBags(bytes: Buffer, unlocking: Unlocking, found: Pkcs12): void {
  for (const bag of children(readDer(bytes)[0])) {
    const [id, wrapped] = children(bag);
    const value = children(wrapped, CONTEXT_0)[0];
    const kind = oid(id);
    if (kind === `${BAGS}1`) found.keys.push(privateKey(value!.whole));
    if (kind === `${BAGS}2`) {
      const [algorithm, sealed] = children(value);
      found.keys.push(privateKey(decrypt(algorithm, octets(sealed), unlocking)));
    }
    if (kind === `${BAGS}3`) {
      const [type, certificate] = children(value);
      if (oid(type) === X509_BAG)
        found.certificates.push(new X509Certificate(octets(children(certificate, CONTEXT_0)[0])));
    }
    if (kind === `${BAGS}6`) readBags(value!.whole, unlocking, found);
  }
}

const privateKey = (der: Buffer): KeyObject => createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });

/** Keys and ciphers of PBES2. */
const CIPHERS: Readonly<Record<string, [cipher: string, keyBytes: number]>> = {
  '2.16.840.1.101.3.4.1.2': ['aes-128-cbc', 16],
  '2.16.840.1.101.3.4.1.22': ['aes-192-cbc', 24],
  '2.16.840.1.101.3.4.1.42': ['aes-256-cbc', 32],
  '1.2.840.113549.3.7': ['des-ede3-cbc', 24],
};
const HASHES: Readonly<Record<string, string>> = {
  '1.2.840.113549.2.7': 'sha1',
  '1.2.840.113549.2.8': 'sha224',
  '1.2.840.113549.2.9': 'sha256',
  '1.2.840.113549.2.10': 'sha384',
  '1.2.840.113549.2.11': 'sha512',
};
/** What older programs write: SHA-1 with these, each with its length of key. */
const OLD_CIPHERS: Readonly<Record<string, [cipher: 'des-ede3-cbc' | 'rc2', keyBytes: number]>> = {
  '1.2.840.113549.1.12.1.3': ['des-ede3-cbc', 24],
  '1.2.840.113549.1.12.1.5': ['rc2', 16],
  '1.2.840.113549.1.12.1.6': ['rc2', 5],
};

function decrypt(algorithm: Der | undefined, sealed: Buffer, unlocking: Unlocking): Buffer {
  const [id, parameters] = children(algorithm);
  try {
    if (oid(id) === '1.2.840.113549.1.5.13') return decryptPbes2(parameters, sealed, unlocking);
    return decryptOld(oid(id), parameters, sealed, unlocking);
  } catch (cause) {
    if (!/bad decrypt|wrong final block/i.test(String(cause))) throw cause;
    throw new Error('It cannot be decrypted: its password is not the right one', { cause });
  }
}

function decryptPbes2(parameters: Der | undefined, sealed: Buffer, unlocking: Unlocking): Buffer {
  const [derivation, scheme] = children(parameters);
  const [kdf, kdfParameters] = children(derivation);
  const [cipherId, iv] = children(scheme);
  const [salt, count, ...rest] = children(kdfParameters);
  const prf = rest.find(value => value.tag === 0x30);
  const hash = HASHES[prf ? oid(children(prf)[0]) : '1.2.840.113549.2.7'];
  const cipher = CIPHERS[oid(cipherId)];
  if (oid(kdf) !== '1.2.840.113549.1.5.12' || !hash || !cipher)
    throw new Error('It is encrypted in a way that is not known here; AES with PBKDF2 is');
  const key = pbkdf2Sync(
    unlocking.password.reveal(),
    octets(salt),
    iterations(count, unlocking),
    cipher[1],
    hash,
  );
  return decipher(cipher[0], key, octets(iv), sealed);
}

function decryptOld(id: string, parameters: Der | undefined, sealed: Buffer, unlocking: Unlocking): Buffer {
  const cipher = OLD_CIPHERS[id];
  if (!cipher) throw new Error('It is encrypted in a way that is not known here; AES with PBKDF2 is');
  const [salt, count] = children(parameters);
  const derive = (purpose: number, length: number) =>
    deriveOld(unlocking.password, octets(salt), iterations(count, unlocking), purpose, length);
  const [key, iv] = [derive(1, cipher[1]), derive(2, 8)];
  if (cipher[0] === 'rc2') return decryptRc2(key, iv, sealed);
  return decipher(cipher[0], key, iv, sealed);
}

function decipher(cipher: string, key: Buffer, iv: Buffer, sealed: Buffer): Buffer {
  const opened = createDecipheriv(cipher, key, iv);
  return Buffer.concat([opened.update(sealed), opened.final()]);
}

function iterations(count: Der | undefined, unlocking: Unlocking): number {
  const number = integer(count);
  unlocking.iterationsLeft -= number;
  if (number < 1 || unlocking.iterationsLeft < 0)
    throw new Error('Its password is hashed too often to be checked');
  return number;
}

const BLOCK = 64;

/** Source: RFC 7292 appendix B.2, with SHA-1. */
function deriveOld(password: Secret, salt: Buffer, count: number, purpose: number, length: number): Buffer {
  const utf16 = Buffer.from(`${password.reveal()}\0`, 'utf16le').swap16();
  const input = Buffer.concat([filled(salt), filled(utf16)]);
  const made: Buffer[] = [];
  for (let bytes = 0; bytes < length; bytes += 20) {
    let hash = createHash('sha1').update(Buffer.alloc(BLOCK, purpose)).update(input).digest();
    for (let i = 1; i < count; i++) hash = createHash('sha1').update(hash).digest();
    made.push(hash);
    const step = BigInt(`0x${filled(hash, BLOCK).toString('hex')}`) + 1n;
    for (let at = 0; at < input.length; at += BLOCK) {
      const sum = BigInt(`0x${input.toString('hex', at, at + BLOCK)}`) + step;
      input.write(
        sum
          .toString(16)
          .padStart(BLOCK * 2, '0')
          .slice(-BLOCK * 2),
        at,
        'hex',
      );
    }
  }
  return Buffer.concat(made).subarray(0, length);
}

/** Repeated until it fills whole blocks. */
const filled = (bytes: Buffer, length = Math.ceil(bytes.length / BLOCK) * BLOCK): Buffer =>
  length === 0 ? bytes : Buffer.alloc(length, bytes);
