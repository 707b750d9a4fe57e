/** The authorities and certificates that an operator keeps in files, the same for all programs, as octavia.conf names them. */
import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Secret } from '../../lib/secret.ts';
import type { AgentCertificate, CertificateAuthority, ControllerCredentials } from './authority.ts';
import { type Issuer, readIssuer } from './issue.ts';
import { issueForAgent } from './issue-for-agent.ts';
import { CERTIFICATE, splitPem } from './pem.ts';

export interface AuthorityFiles {
  /** Signs the certificates of agents. */
  caCertificate: string;
  caPrivateKey: string;
  passphrase: Secret | undefined;
  /** Verifies agents; may be a chain. */
  serverCa: string;
  /** Verifies controllers; goes into amphorae. */
  clientCa: string;
  /** The controller's own certificate and key, in either order. */
  clientCert: string;
}

interface Loaded {
  issuer: Issuer;
  clientCa: string;
  controller: ControllerCredentials;
}

export class FileAuthority implements CertificateAuthority {
  readonly #files: AuthorityFiles;
  readonly #agentMs: number;
  readonly #now: () => number;
  #loading: Promise<Loaded> | undefined;

  /** `agentMs`: how long an agent's certificate is valid. */
  constructor(files: AuthorityFiles, agentMs: number, now: () => number = Date.now) {
    this.#files = files;
    this.#agentMs = agentMs;
    this.#now = now;
  }

  /** Throws one sentence with the file that cannot be used. */
  async check(): Promise<void> {
    await this.#load();
  }

  async issueAgentCertificate(amphoraId: string): Promise<AgentCertificate> {
    const { issuer } = await this.#load();
    return issueForAgent(issuer, amphoraId, this.#now(), this.#agentMs);
  }

  async clientCa(): Promise<string> {
    return (await this.#load()).clientCa;
  }

  async controllerCredentials(): Promise<ControllerCredentials> {
    return (await this.#load()).controller;
  }

  #load(): Promise<Loaded> {
    this.#loading ??= this.#read().catch(error => {
      // The next call tries again: the operator may have mended the file.
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  async #read(): Promise<Loaded> {
    const { caCertificate, caPrivateKey, passphrase, serverCa, clientCa, clientCert } = this.#files;
    const ca = await readWith(caCertificate, text => text);
    const issuer = await readWith(caPrivateKey, text => readIssuer(ca, decryptKey(text, passphrase)));
    const controller = await readWith(clientCert, text => {
      const key = new Secret(splitPem(text, /PRIVATE KEY$/)[0] ?? '');
      return { certificate: readIssuer(splitPem(text, CERTIFICATE).join(''), key).pem, key };
    });
    const server = await readWith(serverCa, text => text);
    return {
      issuer,
      clientCa: await readWith(clientCa, text => text),
      controller: { ...controller, serverCa: server },
    };
  }
}

async function readWith<T>(path: string, read: (text: string) => T): Promise<T> {
  try {
    return read(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new Error(`Cannot use the certificate file ${path}`, { cause });
  }
}

function decryptKey(text: string, passphrase: Secret | undefined): Secret {
  const key = createPrivateKey({ key: text, passphrase: passphrase?.reveal() });
  return new Secret(String(key.export({ type: 'pkcs8', format: 'pem' })));
}
