import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../lib/secret.ts';
import { openPkcs12 } from './pkcs12.ts';

let directory: string;
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
const read = (name: string) => readFileSync(join(directory, name));

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pkcs12-'));
  openssl(
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2'],
    ...['-subj', '/CN=one.example', '-keyout', 'key.pem', '-out', 'cert.pem'],
  );
});
afterAll(() => rmSync(directory, { recursive: true }));

function bundle(password: string, ...options: string[]): Buffer {
  const legacy = options.some(option => /rc2/i.test(option)) ? ['-legacy'] : [];
  openssl(
    ...['pkcs12', '-export', ...legacy, '-inkey', 'key.pem', '-in', 'cert.pem', '-certfile', 'cert.pem'],
    ...['-passout', `pass:${password}`, '-out', 'bundle.p12', ...options],
  );
  return read('bundle.p12');
}

describe('openPkcs12', () => {
  test.each([
    ['as OpenSSL 3 does by itself', []],
    ['with AES-128 and SHA-1', ['-keypbe', 'AES-128-CBC', '-certpbe', 'AES-192-CBC', '-macalg', 'sha1']],
    ['with 3DES in PBES2', ['-keypbe', 'DES-EDE3-CBC', '-certpbe', 'DES-EDE3-CBC']],
    ['as OpenSSL 1.1 did', ['-keypbe', 'PBE-SHA1-3DES', '-certpbe', 'PBE-SHA1-RC2-40', '-macalg', 'sha1']],
    ['with RC2 of 128 bits', ['-keypbe', 'PBE-SHA1-RC2-128', '-certpbe', 'PBE-SHA1-RC2-128']],
    ['not encrypted at all', ['-keypbe', 'NONE', '-certpbe', 'NONE', '-nomac']],
    ['with few iterations', ['-noiter', '-nomaciter']],
  ])('opens a bundle made %s', (_how, options) => {
    for (const password of ['', 'pässwörd']) {
      const { keys, certificates } = openPkcs12(bundle(password, ...options), new Secret(password));
      expect(keys.map(key => key.export({ type: 'pkcs8', format: 'pem' }))).toEqual([
        read('key.pem').toString(),
      ]);
      expect(certificates.map(String)).toContain(read('cert.pem').toString());
    }
  });

  test('says that the password is wrong', () => {
    for (const pbe of ['AES-256-CBC', 'PBE-SHA1-3DES', 'PBE-SHA1-RC2-40']) {
      const bytes = bundle('right', '-keypbe', pbe, '-certpbe', pbe);
      expect(() => openPkcs12(bytes, new Secret('wrong'))).toThrow(
        /password is not the right one|not valid DER/,
      );
    }
  });

  test('answers whatever bytes with a result or one sentence, never with another kind of failure', () => {
    const good = bundle('', '-keypbe', 'NONE', '-certpbe', 'NONE', '-nomac');
    fc.assert(
      fc.property(
        fc.nat(good.length - 1),
        fc.integer({ min: 0, max: 255 }),
        fc.nat(good.length),
        (at, byte, length) => {
          const bytes = Buffer.from(good);
          bytes[at] = byte;
          try {
            openPkcs12(bytes.subarray(0, length), new Secret(''));
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
            expect(error).not.toBeInstanceOf(TypeError);
            expect(error).not.toBeInstanceOf(RangeError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
