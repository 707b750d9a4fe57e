import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../lib/secret.ts';
import { readAuthorities, readBundle, readParts, readRevocationList, renderBundle } from './bundle.ts';
import { Certificates, KEY_FORMS } from './certificates.fixture.ts';

let made: Certificates;
beforeAll(() => {
  made = new Certificates();
});
afterAll(() => made[Symbol.dispose]());

const secret = (bytes: Buffer | string) => new Secret(Buffer.from(bytes));
const file = (name: string) => secret(made.bytes(name));
const sha1 = (text: string | Buffer) => createHash('sha1').update(text).digest('hex');

describe('readParts', () => {
  test.each(KEY_FORMS)('reads a certificate with a key in the form %s', form => {
    const { certificate, key, passphrase } = made.selfSigned(form);
    const bundle = readParts({
      certificate: secret(certificate),
      private_key: secret(key),
      private_key_passphrase: passphrase && secret(passphrase),
    });
    expect(bundle).toMatchObject({
      id: sha1(certificate),
      certificate: certificate.toString(),
      intermediates: [],
      host_names: ['one.example', 'two.example'],
    });
    const leaf = new X509Certificate(certificate);
    expect(bundle.expires_at).toBe(`${leaf.validToDate.toISOString().slice(0, 19)}.000000`);
    expect(leaf.checkPrivateKey(createPrivateKey(bundle.key.reveal()))).toBe(true);
    const label = { ec: 'EC PRIVATE KEY', ed25519: 'PRIVATE KEY' }[form as 'ec'] ?? 'RSA PRIVATE KEY';
    expect(bundle.key.reveal()).toMatch(`-----BEGIN ${label}-----\n`);
    expect(renderBundle(bundle).reveal()).toBe(bundle.certificate + bundle.key.reveal());
  });

  test.each([
    ['PEM', 'intermediate.pem'],
    ['PKCS#7 as PEM', 'intermediate.p7b'],
    ['PKCS#7 as DER', 'intermediate.p7b.der'],
  ])('reads intermediates as %s', (_form, name) => {
    for (const leaf of ['leaf.pem', 'leaf.der']) {
      const parts = { certificate: file(leaf), private_key: file('leaf.key'), intermediates: file(name) };
      const bundle = readParts(parts);
      expect(bundle.intermediates).toEqual([made.text('intermediate.pem')]);
      expect(bundle.certificate).toBe(made.text('leaf.pem'));
    }
  });

  test('brings the chain in order, however it came', () => {
    const chain = made.text('root.pem') + made.text('intermediate.pem');
    const parts = { private_key: file('leaf.key'), certificate: secret(made.text('leaf.pem') + chain) };
    const { intermediates } = readParts({ ...parts, intermediates: file('stranger.pem') });
    const names = intermediates.map(pem => new X509Certificate(pem).subject);
    expect(names).toEqual(['CN=intermediate.example', 'CN=root.example', 'CN=stranger.example']);
  });

  test.each([
    ['a key of another certificate', { private_key: 'stranger.key' }, 'does not belong to its certificate'],
    ['a key that is none', { private_key: 'leaf.pem' }, 'private key cannot be read without a passphrase'],
    ['a certificate that is none', { certificate: 'leaf.key' }, 'It holds no certificate.'],
    ['a revocation list as intermediates', { intermediates: 'leaf.p12' }, 'Its intermediates cannot be read'],
  ])('says what is wrong with %s', (_what, wrong, sentence) => {
    made.pkcs12();
    const names = { certificate: 'leaf.pem', private_key: 'leaf.key', ...wrong };
    const parts = Object.fromEntries(Object.entries(names).map(([key, name]) => [key, file(name)]));
    expect(() => readParts(parts as never)).toThrow(sentence);
  });

  test('says that a passphrase is wrong', () => {
    const { certificate, key } = made.selfSigned('encrypted');
    const parts = { certificate: secret(certificate), private_key: secret(key) };
    expect(() => readParts(parts)).toThrow('cannot be read without a passphrase');
    const wrong = { ...parts, private_key_passphrase: secret('wrong') };
    expect(() => readParts(wrong)).toThrow('cannot be read with its passphrase');
  });
});

describe('readBundle', () => {
  test('reads PKCS#12, named as Octavia names it', () => {
    const bundle = readBundle(secret(made.pkcs12()));
    expect(bundle).toMatchObject({
      id: sha1(made.text('leaf.pem').trimEnd()),
      certificate: made.text('leaf.pem'),
      intermediates: [made.text('intermediate.pem')],
      host_names: ['leaf.example'],
    });
    expect(JSON.stringify(bundle)).not.toContain('PRIVATE');
  });

  test('reads certificate, key and chain in one PEM text, in any order', () => {
    const text = ['leaf.key', 'leaf.pem', 'intermediate.pem'].map(name => made.text(name)).join('');
    expect(readBundle(secret(text)).intermediates).toEqual([made.text('intermediate.pem')]);
  });

  test.each([
    ['text', 'hello', 'It is not a PKCS#12 bundle that can be read'],
    ['nothing but zeros', '\0\0\0\0', 'It is not a PKCS#12 bundle that can be read'],
  ])('says that %s is no bundle', (_what, bytes, sentence) => {
    expect(() => readBundle(secret(bytes))).toThrow(sentence);
  });

  test('says that a bundle has a password, or no key', () => {
    const locked = secret(made.pkcs12('-passout', 'pass:x'));
    expect(() => readBundle(locked)).toThrow('its password is not the right one');
    const keyless = secret(made.pkcs12('-nokeys'));
    expect(() => readBundle(keyless)).toThrow('without a private key');
  });
});

describe('readRevocationList', () => {
  test('takes one that the CA signed, among several', async () => {
    const authorities = readAuthorities(secret(made.text('stranger.pem') + made.text('root.pem')));
    expect(await readRevocationList(file('root.crl'), authorities)).toEqual({
      id: sha1(made.bytes('root.crl')),
      pem: made.text('root.crl'),
    });
  });

  test.each([
    ['one that another CA signed', 'stranger.crl', 'It is not signed by the CA.'],
    ['a certificate', 'root.pem', 'It holds no certificate revocation list'],
  ])('refuses %s', async (_what, name, sentence) => {
    const authorities = readAuthorities(file('root.pem'));
    await expect(readRevocationList(file(name), authorities)).rejects.toThrow(sentence);
    await expect(readRevocationList(file('leaf.key'), authorities)).rejects.toThrow('It holds no');
  });

  test('a CA is read from PEM only', () => {
    expect(() => readAuthorities(file('leaf.der'))).toThrow('no CA certificate in PEM form');
    const broken = secret('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    expect(() => readAuthorities(broken)).toThrow('no CA certificate that can be read');
  });
});
