/** Passwords at rest: scrypt with a salt of its own each. */
import { createHmac, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../lib/secret.ts';

const COST: ScryptOptions = { N: 16_384, r: 8, p: 1 };
const KEY_BYTES = 32;

export async function hashPassword(password: Secret): Promise<string> {
  const salt = randomBytes(16);
  const key = await derive(password, salt);
  return `scrypt$${salt.toString('base64url')}$${key.toString('base64url')}`;
}

/**
 * Compares passwords with one hash. Only the first right one costs a derivation: later ones are compared with a keyed
 * digest that lives as long as this process, so that a client that asks for many tokens does not keep a core busy.
 */
export class PasswordCheck {
  readonly #salt: Buffer;
  readonly #key: Buffer;
  readonly #digestKey = randomBytes(32);
  #rightDigest: Buffer | undefined;

  /** Throws when the text is not what `hashPassword` returned. */
  constructor(hash: string) {
    const [scheme, salt, key] = hash.split('$');
    if (scheme !== 'scrypt' || !salt || !key) throw new Error('Cannot read the password hash of the admin');
    this.#salt = Buffer.from(salt, 'base64url');
    this.#key = Buffer.from(key, 'base64url');
  }

  async matches(password: Secret): Promise<boolean> {
    const digest = createHmac('sha256', this.#digestKey).update(password.reveal()).digest();
    if (this.#rightDigest && timingSafeEqual(this.#rightDigest, digest)) return true;
    const right = timingSafeEqual(await derive(password, this.#salt), this.#key);
    if (right) this.#rightDigest = digest;
    return right;
  }
}

function derive(password: Secret, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.reveal(), salt, KEY_BYTES, COST, (error, key) => (error ? reject(error) : resolve(key)));
  });
}
