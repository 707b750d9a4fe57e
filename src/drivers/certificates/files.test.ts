import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorChain } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import { authorityContract } from './authority.contract.ts';
import { FileAuthority } from './files.ts';
import { issueAuthority, issueLeaf } from './issue.ts';

const DAY_MS = 86_400_000;
const VALID = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + 100 * DAY_MS) };
const PASSPHRASE = 'not-secure-passphrase';

/** As an operator makes them with OpenSSL: keys that are encrypted, and the controller's key before its certificate. */
async function writeFiles(kind: 'rsa' | 'P-384') {
  const directory = mkdtempSync(join(tmpdir(), 'file-authority-'));
  const path = (name: string) => join(directory, name);
  const { privateKey } =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: kind });
  const pem = privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-128-cbc',
    passphrase: PASSPHRASE,
  });
  writeFileSync(path('ca.key'), pem, { mode: 0o600 });
  const subject = [
    '-x509',
    '-new',
    '-sha256',
    '-days',
    '90',
    '-subj',
    '/C=US/O=OpenStack/CN=ServerIntermediateCA',
  ];
  const extensions = [
    '-addext',
    'basicConstraints=critical,CA:true',
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
  ];
  writeFileSync(path('req.conf'), '[req]\ndistinguished_name = name\n[name]\n');
  execFileSync('openssl', [
    ...['req', ...subject, ...extensions, '-config', path('req.conf')],
    ...['-key', path('ca.key'), '-passin', `pass:${PASSPHRASE}`, '-out', path('ca.pem')],
  ]);
  const client = await issueAuthority({ commonName: 'ClientCA', ...VALID });
  const controller = await issueLeaf(client, { commonName: 'OctaviaController', ...VALID });
  writeFileSync(path('client_ca.pem'), client.pem);
  writeFileSync(path('client.pem'), controller.key.reveal() + controller.certificate, { mode: 0o600 });
  const files = {
    caCertificate: path('ca.pem'),
    caPrivateKey: path('ca.key'),
    passphrase: new Secret(PASSPHRASE),
    serverCa: path('ca.pem'),
    clientCa: path('client_ca.pem'),
    clientCert: path('client.pem'),
  };
  return { directory, files };
}

for (const kind of ['rsa', 'P-384'] as const)
  authorityContract(`FileAuthority with ${kind}`, async () => {
    const { directory, files } = await writeFiles(kind);
    const open = () => new FileAuthority(files, 30 * DAY_MS);
    return { authority: open(), reopen: open, tearDown: async () => rmSync(directory, { recursive: true }) };
  });

describe('FileAuthority', () => {
  let written: Awaited<ReturnType<typeof writeFiles>>;
  beforeAll(async () => {
    written = await writeFiles('P-384');
  });
  afterAll(() => rmSync(written.directory, { recursive: true }));

  test('what it issues ends no later than its authority', async () => {
    const authority = new FileAuthority(written.files, 1000 * DAY_MS);
    const { pem } = await authority.issueAgentCertificate('3c5d7a52-5f0b-4c6e-9a0e-0d7f6f2b8a11');
    const ca = new X509Certificate(readFileSync(written.files.caCertificate));
    expect(new X509Certificate(pem.reveal()).validTo).toBe(ca.validTo);
  });

  test.each([
    ['a file that is absent', { clientCa: '/nowhere.pem' }, 'certificate file /nowhere.pem: ENOENT'],
    ['a wrong passphrase', { passphrase: new Secret('wrong') }, /certificate file \S+ca\.key/],
    ['a key of somebody else', { caCertificate: 'client_ca.pem' }, /ca\.key.*belongs to another certificate/],
    ['a file without a key', { clientCert: 'client_ca.pem' }, /certificate file \S+client_ca\.pem/],
  ])('names %s', async (_, change, sentence) => {
    const inside = Object.fromEntries(
      Object.entries(change).map(([name, value]) => [
        name,
        typeof value === 'string' ? join(value.startsWith('/') ? '' : written.directory, value) : value,
      ]),
    );
    const authority = new FileAuthority({ ...written.files, ...inside }, DAY_MS);
    expect(errorChain(await authority.check().catch(error => error))).toMatch(sentence);
  });
});
