/** Certificates of listeners and pools: read from the key manager, brought to amphorae, released when nobody needs them. */
import { createSecureContext } from 'node:tls';
import { servedListeners } from '../../dataplane/haproxy/served.ts';
import {
  crtListName,
  listenerReferences,
  poolReferences,
  renderCrtList,
  type TlsReferences,
} from '../../dataplane/haproxy/tls.ts';
import { deleteSecretUse, listSecretUses, putSecretUse, type SecretUse } from '../../db/secret-uses.ts';
import type { CertificateFile } from '../../drivers/amphora/amphora.ts';
import { type CertificateBundle, type PemFile, renderBundle } from '../../drivers/certificates/bundle.ts';
import { errorChain, Fault } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import type { Amphora } from '../../model/amphora.ts';
import type { Listener } from '../../model/listener.ts';
import type { Pool } from '../../model/pool.ts';
import { isStaying } from '../../model/status.ts';
import type { ResourceFault } from '../provider.ts';
import { type AgentFacts, type AmphoraPass, step } from './parts.ts';

/** A listener or pool with what it needs. */
interface Need {
  resource_type: SecretUse['resource_type'];
  resource_id: string;
  references: TlsReferences;
}

type Kind = 'bundle' | 'authorities' | 'revocation list';

/** What one pass knows about certificates. */
export interface CertificatePass {
  needs: Need[];
  /** By resource and reference; also those that nobody wants any more. */
  uses: Map<string, SecretUse>;
  /** By id; of listeners and pools that are not served. */
  faults: Map<string, ResourceFault>;
  /** What was asked of the key manager, each once. */
  asked: Map<string, Promise<CertificateFile>>;
}

export async function openCertificates(pass: AmphoraPass): Promise<CertificatePass> {
  const rows = await listSecretUses(pass.parts.db, pass.graph.load_balancer.id);
  return {
    needs: servedNeeds(pass),
    uses: new Map(rows.map(use => [keyOf(use.resource_id, use.reference), use])),
    faults: new Map(),
    asked: new Map(),
  };
}

const keyOf = (resourceId: string, reference: string): string => `${resourceId} ${reference}`;

const listenerNeed = (listener: Listener): Need => ({
  ...{ resource_type: 'listener', resource_id: listener.id, references: listenerReferences(listener) },
});

const poolNeed = (pool: Pool): Need => ({
  ...{ resource_type: 'pool', resource_id: pool.id, references: poolReferences(pool) },
});

const partsOf = ({ references: { bundles, authorities, revocationList } }: Need): [Kind, string][] => [
  ...bundles.map((reference): [Kind, string] => ['bundle', reference]),
  ...(authorities === null ? [] : [['authorities', authorities] as [Kind, string]]),
  ...(revocationList === null ? [] : [['revocation list', revocationList] as [Kind, string]]),
];

const referencesOf = (need: Need): string[] => partsOf(need).map(([, reference]) => reference);

/** Of what haproxy would serve if all of it were at hand. */
function servedNeeds({ graph }: AmphoraPass): Need[] {
  const all = [...graph.listeners.map(listenerNeed), ...graph.pools.map(poolNeed)];
  const certificates = new Map(all.flatMap(referencesOf).map(reference => [reference, '']));
  const served = servedListeners(graph, { certificates });
  const pools = new Set(served.flatMap(listener => listener.pools.map(({ pool }) => pool)));
  const needs = [...served.map(({ listener }) => listenerNeed(listener)), ...[...pools].map(poolNeed)];
  return needs.filter(need => referencesOf(need).length > 0);
}

/** What the amphora needs of them. */
export interface AmphoraCertificates {
  /** The names of the files by their references; what could not be loaded is missing. */
  names: Map<string, string>;
  files: CertificateFile[];
}

/** Reads what the amphora does not have yet; what cannot be read becomes a fault of who needs it, unless the amphora still has it. */
export async function loadCertificates(
  pass: AmphoraPass,
  certificates: CertificatePass,
  amphora: Amphora,
  facts: AgentFacts,
): Promise<AmphoraCertificates> {
  const names = new Map<string, string>();
  const files = new Map<string, CertificateFile>();
  for (const need of certificates.needs) {
    for (const [kind, reference] of partsOf(need)) {
      const file = await findFile(pass, certificates, { amphora, facts, need, kind, reference });
      if (!file) continue;
      names.set(reference, file.name);
      files.set(file.name, file);
    }
  }
  const context = { certificates: names, settings: pass.parts.settings.haproxy };
  const lists = servedListeners(pass.graph, context)
    .filter(({ listener }) => listenerReferences(listener).bundles.length > 0)
    .map(({ listener }) => ({
      name: crtListName(listener),
      pem: new Secret(renderCrtList(listener, context)),
    }));
  return { names, files: [...files.values(), ...lists] };
}

interface Search {
  amphora: Amphora;
  facts: AgentFacts;
  need: Need;
  kind: Kind;
  reference: string;
}

async function findFile(
  pass: AmphoraPass,
  certificates: CertificatePass,
  search: Search,
): Promise<CertificateFile | undefined> {
  const { amphora, facts, need, kind, reference } = search;
  const { resource_type, resource_id, references } = need;
  const known = certificates.uses.get(keyOf(resource_id, reference))?.file_name;
  // What a reference leads to does not change, so there is nothing to read anew.
  if (known && (await hasStill(pass, amphora, facts, known))) return { name: known, pem: null };
  let file: CertificateFile;
  try {
    file = await once(certificates, `${kind} ${reference}`, () =>
      step(pass, `read ${kind}`, reference, () => read(pass, kind, reference, references)),
    );
  } catch (error) {
    // Whatever it is, the others can be served; it is tried again.
    pass.signal.throwIfAborted();
    const { amphora: driver } = pass.parts;
    if (known && (await driver.hasCertificate(amphora, pass.graph.load_balancer.id, known)))
      return { name: known, pem: null };
    const reason = `The ${resource_type} ${resource_id} is not served, because its ${kind} ${reference} cannot be loaded: ${errorChain(error)}`;
    certificates.faults.set(resource_id, { resource_type, resource_id, reason });
    return undefined;
  }
  if (known) return file;
  return once(certificates, keyOf(resource_id, reference), () =>
    noteUse(pass, certificates, need, reference, file),
  );
}

/** As far as is known; where another worker may have passed meanwhile, the amphora is asked. */
async function hasStill(pass: AmphoraPass, amphora: Amphora, facts: AgentFacts, name: string) {
  if (!facts.certificates.has(name)) return false;
  if (facts.fence >= pass.lease.fence - 1) return true;
  return pass.parts.amphora.hasCertificate(amphora, pass.graph.load_balancer.id, name);
}

function once(
  { asked }: CertificatePass,
  key: string,
  ask: () => Promise<CertificateFile>,
): Promise<CertificateFile> {
  const present = asked.get(key) ?? ask();
  asked.set(key, present);
  return present;
}

async function read(
  { parts: { secrets } }: AmphoraPass,
  kind: Kind,
  reference: string,
  { authorities }: TlsReferences,
): Promise<CertificateFile> {
  if (kind === 'bundle') return bundleFile(await secrets.getBundle(reference, 'service'));
  if (kind === 'authorities') return pemFile(await secrets.getAuthorities(reference, 'service'));
  const signers = await secrets.getAuthorities(authorities!, 'service');
  return pemFile(await secrets.getRevocationList(reference, signers, 'service'));
}

/** One that OpenSSL refuses, such as a key that is too short, would keep haproxy from every change. */
function bundleFile(bundle: CertificateBundle): CertificateFile {
  const pem = renderBundle(bundle);
  try {
    createSecureContext({ cert: pem.reveal(), key: bundle.key.reveal() });
  } catch (cause) {
    throw new Fault('invalid', 'It cannot be used', { cause });
  }
  return { name: `${bundle.id}.pem`, pem };
}

const pemFile = ({ id, pem }: PemFile): CertificateFile => ({ name: `${id}.pem`, pem: new Secret(pem) });

/** The row first, so that whoever comes after a crash releases what the key manager was told. */
async function noteUse(
  pass: AmphoraPass,
  { uses }: CertificatePass,
  { resource_type, resource_id }: Need,
  reference: string,
  file: CertificateFile,
): Promise<CertificateFile> {
  const { db, secrets } = pass.parts;
  const loadbalancer_id = pass.graph.load_balancer.id;
  const use: SecretUse = { loadbalancer_id, resource_type, resource_id, reference, file_name: null };
  await putSecretUse(db, pass.lease, use);
  await secrets.ensureConsumer(reference, consumerOf(use));
  use.file_name = file.name;
  await putSecretUse(db, pass.lease, use);
  uses.set(keyOf(resource_id, reference), use);
  return file;
}

const consumerOf = ({ resource_type, resource_id }: SecretUse) => ({
  service: 'Octavia',
  resource_type,
  resource_id,
});

/** The names of files that nobody needs any more, unless a file with the same content is needed for something else. */
export function obsoleteCertificates(pass: AmphoraPass, certificates: CertificatePass): string[] {
  const [staying, obsolete] = partUses(pass, certificates);
  const kept = new Set(staying.map(use => use.file_name));
  const listeners = new Set(staying.map(use => use.resource_id));
  const names = obsolete.flatMap(({ resource_type, resource_id, file_name }) => [
    ...(file_name !== null && !kept.has(file_name) ? [file_name] : []),
    ...(resource_type === 'listener' && !listeners.has(resource_id)
      ? [crtListName({ id: resource_id })]
      : []),
  ]);
  return [...new Set(names)];
}

/** Those of listeners and pools that stay and still refer to them, disabled ones among them, and the others. */
function partUses({ graph }: AmphoraPass, { uses }: CertificatePass): [SecretUse[], SecretUse[]] {
  const staying = [
    ...graph.listeners.filter(isStaying).map(listenerNeed),
    ...graph.pools.filter(isStaying).map(poolNeed),
  ];
  const wanted = new Set(
    staying.flatMap(need => referencesOf(need).map(reference => keyOf(need.resource_id, reference))),
  );
  const isWanted = (use: SecretUse) => wanted.has(keyOf(use.resource_id, use.reference));
  const all = [...uses.values()];
  return [all.filter(isWanted), all.filter(use => !isWanted(use))];
}

/** Tells the key manager of what is not used any more; of a load balancer that goes, that is everything. */
export async function releaseCertificates(
  pass: AmphoraPass,
  certificates: CertificatePass,
  everything = false,
): Promise<void> {
  const { db, secrets } = pass.parts;
  const released = everything ? [...certificates.uses.values()] : partUses(pass, certificates)[1];
  for (const use of released) {
    await step(pass, 'release secret', use.reference, async () => {
      await secrets.releaseConsumer(use.reference, consumerOf(use));
      await deleteSecretUse(db, pass.lease, use);
    });
  }
}
