/** Passwords at rest: scrypt with a salt of its own each. */
import { createHmac, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../lib/secret.ts';

const COST: ScryptOptions = { N: 16_384, r: 8, p: 1 };
const KEY_BYTES = 32;
const REMEMBERED = 1000;

export async function hashPassword(password: Secret): Promise<string> {
  const salt = randomBytes(16);
  return render(salt, await derive(password, salt));
}

/**
 * Compares passwords with hashes. Only the first right one costs a derivation: later ones are compared with a keyed
 * digest that lives as long as this process, so that a client that asks for many tokens does not keep a core busy.
 */
export class PasswordCheck {
  readonly #digestKey = randomBytes(32);
  /** By hash: the digest of its password. */
  readonly #right = new Map<string, Buffer>();
  readonly #nobodys = render(randomBytes(16), randomBytes(KEY_BYTES));

  /** Without a hash it is wrong, but not sooner, so that the time of an answer does not tell which users exist. */
  async matches(password: Secret, hash: string | null | undefined): Promise<boolean> {
    const known = hash ?? this.#nobodys;
    const digest = createHmac('sha256', this.#digestKey).update(password.reveal()).digest();
    const remembered = this.#right.get(known);
    if (remembered && timingSafeEqual(remembered, digest)) return true;
    const [scheme, salt, key] = known.split('$');
    if (scheme !== 'scrypt' || !salt || !key) throw new Error('Cannot read a password hash: it is no scrypt');
    const derived = await derive(password, Buffer.from(salt, 'base64url'));
    const right = timingSafeEqual(derived, Buffer.from(key, 'base64url'));
    if (right && this.#right.size >= REMEMBERED) this.#right.clear();
    if (right) this.#right.set(known, digest);
    return right;
  }
}

const render = (salt: Buffer, key: Buffer): string =>
  `scrypt$${salt.toString('base64url')}$${key.toString('base64url')}`;

function derive(password: Secret, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.reveal(), salt, KEY_BYTES, COST, (error, key) => (error ? reject(error) : resolve(key)));
  });
}
