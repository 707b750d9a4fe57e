/** Certificates as users make them, with openssl: a root, an intermediate, leaves with keys in every form, revocation lists. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** How a key is written. */
export const KEY_FORMS = [
  'pkcs1',
  'pkcs8',
  'encrypted',
  'traditional-encrypted',
  'ec',
  'der',
  'ed25519',
] as const;
export type KeyForm = (typeof KEY_FORMS)[number];
export const PASSPHRASE = 'open sesame';

const CURVE = ['-pkeyopt', 'ec_paramgen_curve:P-256'];

export class Certificates {
  readonly directory = mkdtempSync(join(tmpdir(), 'certificates-'));

  constructor() {
    this.openssl('genpkey', '-algorithm', 'rsa', '-out', 'rsa.key');
    this.openssl('genpkey', '-algorithm', 'ed25519', '-out', 'ed25519.key');
    this.openssl('genpkey', '-algorithm', 'ec', ...CURVE, '-out', 'ec.key');
    this.#sign('root', 'root');
    this.#sign('intermediate', 'root');
    this.#sign('leaf', 'intermediate');
    this.#sign('stranger', 'stranger');
    this.#revocationList('root');
    this.#revocationList('stranger');
    this.openssl('crl2pkcs7', '-nocrl', '-certfile', 'intermediate.pem', '-out', 'intermediate.p7b');
    const der = ['-outform', 'DER', '-out', 'intermediate.p7b.der'];
    this.openssl('pkcs7', '-in', 'intermediate.p7b', ...der);
    this.openssl('x509', '-in', 'leaf.pem', '-outform', 'DER', '-out', 'leaf.der');
  }

  openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.directory, stdio: 'pipe' });
  }

  bytes(name: string): Buffer {
    return readFileSync(join(this.directory, name));
  }

  text(name: string): string {
    return this.bytes(name).toString();
  }

  /** A self-signed certificate for two names, and its key in the form. */
  selfSigned(form: KeyForm): { certificate: Buffer; key: Buffer; passphrase: Buffer | undefined } {
    const name = { ec: 'ec', ed25519: 'ed25519' }[form as 'ec'] ?? 'rsa';
    this.openssl(
      ...[
        'req',
        '-x509',
        '-key',
        `${name}.key`,
        '-days',
        '30',
        '-subj',
        '/CN=one.example',
        '-out',
        'one.pem',
      ],
      ...['-addext', 'subjectAltName=DNS:one.example,DNS:two.example,IP:10.0.0.1'],
    );
    const pass = ['-passout', `pass:${PASSPHRASE}`];
    const write: Record<KeyForm, string[]> = {
      pkcs1: ['rsa', '-traditional'],
      pkcs8: ['pkey'],
      encrypted: ['pkcs8', '-topk8', '-v2', 'aes-256-cbc', ...pass],
      'traditional-encrypted': ['rsa', '-traditional', '-aes128', ...pass],
      ec: ['ec'],
      der: ['pkcs8', '-topk8', '-nocrypt', '-outform', 'DER'],
      ed25519: ['pkey'],
    };
    this.openssl(...write[form], '-in', `${name}.key`, '-out', 'one.out');
    const passphrase = form.endsWith('encrypted') ? Buffer.from(PASSPHRASE) : undefined;
    return { certificate: this.bytes('one.pem'), key: this.bytes('one.out'), passphrase };
  }

  /** The leaf with its chain. */
  pkcs12(...options: string[]): Buffer {
    this.openssl(
      ...['pkcs12', '-export', '-in', 'leaf.pem', '-inkey', 'leaf.key', '-certfile', 'intermediate.pem'],
      ...['-passout', 'pass:', '-out', 'leaf.p12', ...options],
    );
    return this.bytes('leaf.p12');
  }

  #sign(name: string, issuer: string): void {
    const subject = [
      '-subj',
      `/CN=${name}.example`,
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      `${name}.key`,
    ];
    if (name === issuer) this.openssl('req', '-x509', '-days', '30', ...subject, '-out', `${name}.pem`);
    else {
      this.openssl('req', ...subject, '-out', `${name}.csr`);
      writeFileSync(join(this.directory, 'extensions'), 'basicConstraints=CA:true\n');
      const extensions = name === 'leaf' ? [] : ['-extfile', 'extensions'];
      this.openssl(
        ...['x509', '-req', '-in', `${name}.csr`, '-CA', `${issuer}.pem`, '-CAkey', `${issuer}.key`],
        ...['-CAcreateserial', '-days', '30', ...extensions, '-out', `${name}.pem`],
      );
    }
  }

  #revocationList(issuer: string): void {
    const config = `[ca]\ndefault_ca=d\n[d]\ndatabase=${issuer}.index\ndefault_md=sha256\ndefault_crl_days=30\n`;
    writeFileSync(join(this.directory, 'ca.conf'), config);
    writeFileSync(join(this.directory, `${issuer}.index`), '');
    const files = ['-keyfile', `${issuer}.key`, '-cert', `${issuer}.pem`, '-out', `${issuer}.crl`];
    this.openssl('ca', '-gencrl', '-config', 'ca.conf', ...files);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}
