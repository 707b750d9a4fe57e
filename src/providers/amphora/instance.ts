/** From an amphora's row to an agent that answers: certificate, instance, address. */
import { updateAmphora } from '../../db/amphorae.ts';
import type { Instance } from '../../drivers/compute/compute.ts';
import { type Amphora, type AmphoraRole, instanceName } from '../../model/amphora.ts';
import { isMarked } from '../../model/status.ts';
import { type AgentFacts, type AmphoraPass, NotYet, step } from './parts.ts';

/** Where the agent finds its files. Source: contract amphora-agent.md 8. */
const AGENT_FILES = {
  config: '/etc/octavia/amphora-agent.conf',
  certificate: '/etc/octavia/certs/server.pem',
  clientCa: '/etc/octavia/certs/client_ca.pem',
  rsyslog: '/etc/rsyslog.d/10-rsyslog.conf',
};

/**
 * Waits a moment for the agent of an instance that stands; completes the amphora's row.
 * Throws `NotYet` when it needs more time, and marks the amphora to be replaced when its instance is lost.
 */
export async function ensureAgent(
  pass: AmphoraPass,
  amphora: Amphora,
  role: AmphoraRole,
): Promise<AgentFacts> {
  const facts = pass.facts.get(amphora.id);
  if (facts && amphora.status === 'ALLOCATED' && amphora.role === role) return facts;
  const found = await step(pass, 'wait for agent', amphora.id, () => waitForAgent(pass, amphora));
  if (amphora.status !== 'ALLOCATED' || amphora.role !== role) {
    const isOther = amphora.status === 'ALLOCATED';
    const set: Partial<Amphora> = { status: 'ALLOCATED', role, vrrp_id: 1, vrrp_priority: PRIORITY[role] };
    // It serves on as it is until it was told of its topology; one that was a half has its keepalived until then.
    if (isOther) set.config_due = true;
    if (isOther && role === 'STANDALONE') delete set.vrrp_priority;
    await step(pass, 'allocate amphora', amphora.id, () => update(pass, amphora, set));
  }
  pass.facts.set(amphora.id, found);
  return found;
}

/** Source: contract controller.md 1. */
const PRIORITY: Record<AmphoraRole, number | null> = { MASTER: 100, BACKUP: 90, STANDALONE: null };

/** Builds the instance of an amphora that was not in service yet, unless it stands. Throws `NotYet` while it builds. */
export async function ensureInstance(pass: AmphoraPass, amphora: Amphora): Promise<void> {
  if (amphora.status !== 'PENDING_CREATE' && amphora.status !== 'BOOTING') return;
  const { compute } = pass.parts;
  const name = instanceName(amphora.id);
  const instance =
    (await step(pass, 'find instance', amphora.id, () => compute.findInstance(name))) ??
    (await step(pass, 'build instance', amphora.id, () => buildInstance(pass, amphora)));
  if (instance.status === 'ERROR') {
    await giveUp(
      pass,
      amphora,
      `its instance failed to build: ${instance.fault ?? 'the cloud gave no reason'}`,
    );
  }
  if (instance.status === 'BUILDING') {
    if (isOverdue(pass, amphora)) await giveUp(pass, amphora, 'its instance does not become active');
    throw new NotYet(`instance ${name} to become active`, 1000);
  }
  if (amphora.status === 'BOOTING' && amphora.lb_network_ip === instance.lb_network_ip) return;
  await step(pass, 'store instance', amphora.id, () =>
    update(pass, amphora, {
      status: 'BOOTING',
      compute_id: instance.compute_id,
      lb_network_ip: instance.lb_network_ip,
      cached_zone: instance.zone,
      image_id: instance.image_id,
      compute_flavor: instance.flavor,
    }),
  );
}

async function buildInstance(pass: AmphoraPass, amphora: Amphora): Promise<Instance> {
  const { compute, authority, settings, agentConfig, rsyslogConfig } = pass.parts;
  const certificate = await authority.issueAgentCertificate(amphora.id);
  await update(pass, amphora, { cert_expiration: certificate.expires_at });
  const { offer } = pass;
  return compute.ensureInstance({
    name: instanceName(amphora.id),
    networks: offer.management_network ? [offer.management_network] : settings.bootNetworks,
    flavor: offer.compute_flavor ?? null,
    image_tag: offer.amp_image_tag ?? null,
    availability_zone: offer.compute_zone ?? null,
    volume_zone: offer.volume_zone ?? null,
    apart_from: pass.graph.amphorae
      .filter(a => a.id !== amphora.id && a.status !== 'DELETED' && !isMarked(a.status))
      .map(a => instanceName(a.id)),
    files: [
      {
        path: AGENT_FILES.config,
        content: agentConfig(amphora, pass.graph.load_balancer.topology),
        mode: 0o600,
      },
      { path: AGENT_FILES.certificate, content: certificate.pem.reveal(), mode: 0o600 },
      { path: AGENT_FILES.clientCa, content: await authority.clientCa(), mode: 0o644 },
      { path: AGENT_FILES.rsyslog, content: rsyslogConfig, mode: 0o644 },
    ],
  });
}

/** While the old one is still good; connections of the controller and the traffic go on. */
export async function rotateCertificate(pass: AmphoraPass, amphora: Amphora): Promise<void> {
  const { authority, amphora: driver } = pass.parts;
  const { pem, expires_at } = await authority.issueAgentCertificate(amphora.id);
  await step(pass, 'rotate certificate', amphora.id, () => driver.rotateCertificate(amphora, pem));
  await update(pass, amphora, { cert_expiration: expires_at, cert_busy: false });
}

/** Throws `NotYet`, or marks the amphora, as `ensureAgent` does. */
export async function waitForAgent(pass: AmphoraPass, amphora: Amphora): Promise<AgentFacts> {
  const { amphora: driver, clock, compute, settings } = pass.parts;
  const deadline = clock.now() + settings.agentWaitMs;
  for (;;) {
    pass.signal.throwIfAborted();
    const info = await driver.findInfo(amphora);
    if (info) {
      const details = await driver.details(amphora);
      return { info, details, certificates: new Set(), fence: pass.lease.fence };
    }
    if (clock.now() >= deadline) break;
    await clock.sleep(settings.agentPollMs, pass.signal);
  }
  const instance = await compute.findInstance(instanceName(amphora.id));
  if (!instance || instance.status === 'ERROR') await giveUp(pass, amphora, 'its instance is gone');
  if (amphora.status !== 'ALLOCATED' && isOverdue(pass, amphora))
    await giveUp(pass, amphora, 'its agent does not answer');
  throw new NotYet(`the agent of amphora ${amphora.id} to answer`, 1000);
}

/** Marks the amphora so that the pass that follows builds another one. */
export async function giveUp(pass: AmphoraPass, amphora: Amphora, why: string): Promise<never> {
  await step(pass, 'mark amphora to be replaced', amphora.id, () =>
    update(pass, amphora, { status: 'ERROR' }),
  );
  throw new Error(`Cannot use amphora ${amphora.id}: ${why}`);
}

function isOverdue(pass: AmphoraPass, amphora: Amphora): boolean {
  return pass.parts.clock.now() - Date.parse(`${amphora.created_at}Z`) > pass.parts.settings.bootLimitMs;
}

/** Writes the row and the pass's own picture of it. */
export async function update(pass: AmphoraPass, amphora: Amphora, set: Partial<Amphora>): Promise<void> {
  await updateAmphora(pass.parts.db, pass.lease, amphora.id, set, pass.parts.clock.now());
  Object.assign(amphora, set);
}
