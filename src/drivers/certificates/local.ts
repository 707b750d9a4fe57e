/** An own certificate authority per data directory: one CA for agents, one for controllers, as Octavia has it. */
import { mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { findText, writeDurably } from '../../lib/durable-file.ts';
import { Secret } from '../../lib/secret.ts';
import type { AgentCertificate, CertificateAuthority, ControllerCredentials } from './authority.ts';
import { type Issuer, issueAuthority, issueLeaf, readIssuer } from './issue.ts';
import { issueForAgent } from './issue-for-agent.ts';
import { splitPem } from './pem.ts';

const DAY_MS = 86_400_000;
/** Source: contract controller.md 16.5 (roots, controller) and 15 (agents: cert_validity_time). */
const AUTHORITY_DAYS = 7300;
const CONTROLLER_DAYS = 1825;
const AGENT_DAYS = 30;
/** The controller's own certificate is replaced when less than this is left of it. */
const CONTROLLER_RENEWAL_DAYS = 90;

const FILES = ['server_ca.pem', 'server_ca.key', 'client_ca.pem', 'client_ca.key', 'controller.pem'] as const;
type FileName = (typeof FILES)[number];

interface Loaded {
  server: Issuer;
  client: Issuer;
  controller: { certificate: string; key: Secret };
}

export interface LocalAuthorityOptions {
  /** Made, with everything in it, when it is absent or empty. */
  directory: string;
  /** How long an agent's certificate is valid; 30 days when absent. */
  agentDays?: number;
  now?: () => number;
}

export class LocalAuthority implements CertificateAuthority {
  readonly #directory: string;
  readonly #agentDays: number;
  readonly #now: () => number;
  #loading: Promise<Loaded> | undefined;

  constructor(options: LocalAuthorityOptions) {
    this.#directory = options.directory;
    this.#agentDays = options.agentDays ?? AGENT_DAYS;
    this.#now = options.now ?? Date.now;
  }

  async issueAgentCertificate(amphoraId: string): Promise<AgentCertificate> {
    const { server } = await this.#load();
    return issueForAgent(server, amphoraId, this.#now(), this.#agentDays * DAY_MS);
  }

  async clientCa(): Promise<string> {
    return (await this.#load()).client.pem;
  }

  async controllerCredentials(): Promise<ControllerCredentials> {
    const { controller, server } = await this.#load();
    return { ...controller, serverCa: server.pem };
  }

  #load(): Promise<Loaded> {
    this.#loading ??= this.#read().catch(cause => {
      // The next call tries again: the directory may have become readable.
      this.#loading = undefined;
      throw new Error(`Cannot load the certificate authority in ${this.#directory}`, { cause });
    });
    return this.#loading;
  }

  async #read(): Promise<Loaded> {
    const text = (await this.#findFiles()) ?? (await this.#create());
    const server = readIssuer(text['server_ca.pem'], new Secret(text['server_ca.key']));
    const client = readIssuer(text['client_ca.pem'], new Secret(text['client_ca.key']));
    const [certificate = '', key = ''] = splitPem(text['controller.pem']);
    const controller = { certificate, key: new Secret(key) };
    const leftMs = readIssuer(certificate, controller.key).notAfter.getTime() - this.#now();
    if (leftMs > CONTROLLER_RENEWAL_DAYS * DAY_MS) return { server, client, controller };
    const renewed = await this.#issueController(client);
    await writeDurably(
      join(this.#directory, 'controller.pem'),
      renewed.certificate + renewed.key.reveal(),
      0o600,
    );
    return { server, client, controller: renewed };
  }

  /** undefined when nothing was ever made here; a file that is missing among others is an error. */
  async #findFiles(): Promise<Record<FileName, string> | undefined> {
    const texts = await Promise.all(FILES.map(name => findText(join(this.#directory, name))));
    if (texts.every(text => text === undefined)) return undefined;
    const missing = FILES.filter((_, i) => texts[i] === undefined);
    if (missing.length > 0) throw new Error(`${missing.join(', ')} missing; restore it from a copy`);
    return Object.fromEntries(FILES.map((name, i) => [name, texts[i]!])) as Record<FileName, string>;
  }

  /** Everything is made in a directory of another name and put in place at once: the quickest process wins. */
  async #create(): Promise<Record<FileName, string>> {
    const parent = dirname(this.#directory);
    await mkdir(parent, { recursive: true });
    const draft = await mkdtemp(join(parent, `.${basename(this.#directory)}-`));
    try {
      const notAfter = new Date(this.#now() + AUTHORITY_DAYS * DAY_MS);
      const notBefore = new Date(this.#now());
      const server = await issueAuthority({ commonName: 'Ottavia server CA', notBefore, notAfter });
      const client = await issueAuthority({ commonName: 'Ottavia client CA', notBefore, notAfter });
      const controller = await this.#issueController(client);
      const texts: Record<FileName, string> = {
        'server_ca.pem': server.pem,
        'server_ca.key': server.key.reveal(),
        'client_ca.pem': client.pem,
        'client_ca.key': client.key.reveal(),
        'controller.pem': controller.certificate + controller.key.reveal(),
      };
      for (const name of FILES) {
        await writeDurably(join(draft, name), texts[name], name.endsWith('_ca.pem') ? 0o644 : 0o600);
      }
      await rename(draft, this.#directory);
      await syncDirectory(parent);
      return texts;
    } catch (error) {
      await rm(draft, { recursive: true, force: true });
      const { code } = error as NodeJS.ErrnoException;
      const winner = code === 'ENOTEMPTY' || code === 'EEXIST' ? await this.#findFiles() : undefined;
      if (!winner) throw error;
      return winner;
    }
  }

  async #issueController(client: Issuer): Promise<{ certificate: string; key: Secret }> {
    return await issueLeaf(client, {
      commonName: 'OctaviaController',
      notBefore: new Date(this.#now()),
      notAfter: new Date(this.#now() + CONTROLLER_DAYS * DAY_MS),
    });
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
