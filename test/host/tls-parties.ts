/** The parties of TLS tests: an authority that issues and revokes, the key manager, members that tell what they saw, clients. */
import 'reflect-metadata';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { createServer, type RequestOptions, request, type ServerOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import * as x509 from '@peculiar/x509';
import type { Client } from '../../src/cli/client.ts';
import { type Issuer, issueAuthority, issueLeaf } from '../../src/drivers/certificates/issue.ts';

const DAY_MS = 86_400_000;
const LIMIT_MS = 20_000;

/** A certificate with its key, as Node's TLS takes them. */
export interface Pair {
  cert: string;
  key: string;
}

export class Authority {
  readonly #issuer: Issuer;

  private constructor(issuer: Issuer) {
    this.#issuer = issuer;
  }

  static async create(commonName: string): Promise<Authority> {
    return new Authority(await issueAuthority({ commonName, ...validity() }));
  }

  get pem(): string {
    return this.#issuer.pem;
  }

  async issue(commonName: string, dnsName?: string): Promise<Pair> {
    const names = { commonName, ...(dnsName !== undefined && { dnsName }) };
    const { certificate, key } = await issueLeaf(this.#issuer, { ...names, ...validity() });
    return { cert: certificate, key: key.reveal() };
  }

  async revoke(...pairs: Pair[]): Promise<string> {
    const key = createPrivateKey(this.#issuer.key.reveal()).export({ type: 'pkcs8', format: 'der' });
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    const list = await x509.X509CrlGenerator.create({
      issuer: new x509.X509Certificate(this.pem).subject,
      thisUpdate: validity().notBefore,
      nextUpdate: validity().notAfter,
      signingAlgorithm: algorithm,
      signingKey: await webcrypto.subtle.importKey('pkcs8', key, algorithm, false, ['sign']),
      entries: pairs.map(({ cert }) => ({
        serialNumber: new X509Certificate(cert).serialNumber,
        revocationDate: new Date(),
      })),
    });
    return `${list.toString('pem').trim().replaceAll(' CRL-', ' X509 CRL-')}\n`;
  }
}

const validity = () => ({
  notBefore: new Date(Date.now() - DAY_MS),
  notAfter: new Date(Date.now() + DAY_MS),
});

/** The references under which the key manager has what it is given. */
export class KeyManager {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async secret(payload: string | Buffer): Promise<string> {
    const content =
      typeof payload === 'string'
        ? { payload, payload_content_type: 'text/plain' }
        : {
            ...{ payload: payload.toString('base64'), payload_content_encoding: 'base64' },
            payload_content_type: 'application/octet-stream',
          };
    return this.#post('secrets', { name: 'tls', secret_type: 'opaque', ...content }, 'secret_ref');
  }

  /** A container of PEM secrets. */
  async container({ cert, key }: Pair): Promise<string> {
    const secret_refs = [
      { name: 'certificate', secret_ref: await this.secret(cert) },
      { name: 'private_key', secret_ref: await this.secret(key) },
    ];
    return this.#post('containers', { name: 'tls', type: 'certificate', secret_refs }, 'container_ref');
  }

  /** A PKCS#12 bundle without a password. */
  async pkcs12(pair: Pair): Promise<string> {
    const directory = mkdtempSync(join(tmpdir(), 'pkcs12-'));
    try {
      writeFileSync(join(directory, 'pair.pem'), pair.cert + pair.key);
      const options = ['-export', '-in', 'pair.pem', '-passout', 'pass:', '-out', 'pair.p12'];
      execFileSync('openssl', ['pkcs12', ...options], { cwd: directory, stdio: 'pipe', timeout: 30_000 });
      return await this.secret(readFileSync(join(directory, 'pair.p12')));
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  async #post(path: string, body: object, answer: string): Promise<string> {
    const made = (await this.#client.request('POST', `key-manager/${path}`, body)) as Record<string, string>;
    return made[answer]!;
  }
}

/** What a member saw of the connection and of the request. */
export interface Seen {
  name: string;
  headers: IncomingHttpHeaders;
  version: string;
  /** The rest is absent without TLS. */
  protocol?: string;
  cipher?: string;
  alpn?: string | false;
  /** The common name of the client's certificate. */
  client?: string;
}

/** Answers every request with what it saw, as JSON. */
export const tell =
  (name: string) =>
  (
    message: Pick<IncomingMessage, 'headers' | 'httpVersion' | 'socket'>,
    response: { end(body: string): unknown },
  ): void => {
    const socket = message.socket as TLSSocket;
    const tls = socket.encrypted && {
      protocol: socket.getProtocol(),
      cipher: socket.getCipher().name,
      alpn: socket.alpnProtocol,
      client: socket.getPeerCertificate()?.subject?.CN,
    };
    response.end(JSON.stringify({ name, headers: message.headers, version: message.httpVersion, ...tls }));
  };

export const tlsMember = (name: string, options: ServerOptions) => createServer(options, tell(name));

/** What a client saw, and what the member told it. */
export interface Visit {
  commonName: string;
  protocol: string;
  cipher: string;
  alpn: string | false;
  status: number;
  headers: IncomingHttpHeaders;
  seen: Seen;
}

/** One request over a connection of its own; rejects when there is no answer. No certificate is verified unless the options ask for it. */
export function visit(url: string, options: RequestOptions = {}): Promise<Visit> {
  return new Promise((resolve, reject) => {
    const all = { agent: false, rejectUnauthorized: false, timeout: LIMIT_MS, ...options } as const;
    const asked = request(url, all, response => {
      const socket = response.socket as TLSSocket;
      const tls = {
        commonName: String(socket.getPeerCertificate().subject?.CN),
        protocol: String(socket.getProtocol()),
        cipher: socket.getCipher().name,
        alpn: socket.alpnProtocol ?? false,
      };
      let body = '';
      response.on('data', chunk => {
        body += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode: status, headers } = response;
        const seen = body.startsWith('{') ? JSON.parse(body) : undefined;
        resolve({ ...tls, status: status!, headers, seen });
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${LIMIT_MS} ms`)));
    asked.on('error', reject);
    asked.end();
  });
}
