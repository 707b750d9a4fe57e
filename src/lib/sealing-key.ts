/** Encryption of small values at rest: AES-256-GCM with one key from a file, bound to the place where each value lies. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { findText, writeDurably } from './durable-file.ts';
import { Secret } from './secret.ts';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export class SealingKey {
  readonly #key: Secret<Buffer>;

  constructor(key: Secret<Buffer>) {
    this.#key = key;
  }

  /** The key in the file, which only its owner may read; undefined when there is no file. Throws when it holds no key. */
  static async find(path: string): Promise<SealingKey | undefined> {
    const text = await findText(path);
    if (text === undefined) return undefined;
    const key = Buffer.from(text.trim(), 'base64');
    if (key.length !== KEY_BYTES) throw new Error(`Cannot read the key in ${path}: it is not one of ours`);
    return new SealingKey(new Secret(key));
  }

  /** A new key, which is in the file for good when this returns. */
  static async create(path: string): Promise<SealingKey> {
    const key = randomBytes(KEY_BYTES);
    await writeDurably(path, `${key.toString('base64')}\n`, 0o600);
    return new SealingKey(new Secret(key));
  }

  /** `place` says where the value will lie, such as the id of its row: it cannot be opened from anywhere else. */
  seal(value: Secret<Buffer>, place: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key.reveal(), nonce).setAAD(Buffer.from(place));
    const sealed = Buffer.concat([cipher.update(value.reveal()), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64');
  }

  /** Throws when the text was sealed with another key or for another place, or was changed since. */
  open(sealed: string, place: string): Secret<Buffer> {
    const bytes = Buffer.from(sealed, 'base64');
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv(CIPHER, this.#key.reveal(), nonce, { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(place))
      .setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    const value = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES));
    return new Secret(Buffer.concat([value, decipher.final()]));
  }
}
