/** THE SCRIPT of the amphora provider: what a load balancer needs, from top to bottom. */

import { renderHaproxyConfig } from '../../dataplane/haproxy/render.ts';
import { renderUdpListeners } from '../../dataplane/keepalived/lvs.ts';
import { insertAmphora, settleAmphoraDeleted } from '../../db/amphorae.ts';
import { listMemberPorts } from '../../db/member-ports.ts';
import { loadOffer } from '../../db/offers.ts';
import { type Amphora, type AmphoraRole, instanceName, vrrpPortName } from '../../model/amphora.ts';
import { builtFor } from '../../model/flavor.ts';
import { LISTENER_PROTOCOLS } from '../../model/listener.ts';
import { POOL_PROTOCOLS } from '../../model/pool.ts';
import { isSpreadBy } from '../../model/protocols.ts';
import { isMarked } from '../../model/status.ts';
import type { Pass, PassResult, Provider, ResourceFault } from '../provider.ts';
import { applyConfig } from './apply.ts';
import { AVAILABILITY_ZONE_CAPABILITIES, FLAVOR_CAPABILITIES } from './capabilities.ts';
import {
  type CertificatePass,
  loadCertificates,
  obsoleteCertificates,
  openCertificates,
  releaseCertificates,
} from './certificates.ts';
import { settleDoubts } from './doubts.ts';
import { GarbageCollector } from './garbage.ts';
import { guardedParts } from './guard.ts';
import { ensureAgent, ensureInstance, rotateCertificate } from './instance.ts';
import { awaitHolder, ensureVrrp, findLeaving, hasKeepalived, standDown } from './pair.ts';
import { type AgentFacts, type AmphoraPass, type AmphoraProviderParts, NotYet, step } from './parts.ts';
import { planAmphorae } from './plan.ts';
import {
  ensureMemberNetworks,
  ensureVrrpPort,
  plugVip,
  releaseMemberNetworks,
  releaseMemberPort,
} from './plug.ts';
import { ensureSpare, loadUnowned, takeSuitableSpare } from './spares.ts';
import { announceVip, configureAgent, findHolder, goOnAlone } from './topology.ts';
import { ensureAccess, ensureVip, releaseAccess, releaseVip } from './vip.ts';

const SUPPORTS: Provider['supports'] = {
  lb_algorithm: isSpreadBy,
  listener_protocols: LISTENER_PROTOCOLS,
  pool_protocols: POOL_PROTOCOLS,
  pool_tls: true,
  allowed_cidrs: true,
  l7: true,
  flavor_capabilities: FLAVOR_CAPABILITIES,
  availability_zone_capabilities: AVAILABILITY_ZONE_CAPABILITIES,
};

export class AmphoraProvider implements Provider {
  readonly name = 'amphora';
  readonly description =
    'Load balancers in amphorae: instances that run haproxy and keepalived beside an agent.';
  readonly supports = SUPPORTS;
  readonly #parts: AmphoraProviderParts;
  readonly #facts = new Map<string, AgentFacts>();
  readonly #garbage: GarbageCollector;

  constructor(parts: AmphoraProviderParts) {
    this.#parts = parts;
    this.#garbage = new GarbageCollector(parts);
  }

  async reconcile(pass: Pass): Promise<PassResult> {
    return this.#run(pass, async own => {
      await ensureVip(own);
      await ensureAccess(own);
      await settleDoubts(own);
      const built_for = builtFor(own.offer);
      const plan = planAmphorae(own.graph, { built_for, holder: await findHolder(own) });
      const wanted = [...plan.keep];
      for (const role of plan.build) {
        const amphora = (await takeSuitableSpare(own, role)) ?? (await insertRow(own, { role, built_for }));
        own.graph.amphorae.push(amphora);
        wanted.push({ amphora, role });
      }
      const certificates = await openCertificates(own);
      const leaving = findLeaving(own, plan.release);
      // What leaves is nobody's peer any more, and nobody must be apart from it.
      const graph = { ...own.graph, amphorae: wanted.map(({ amphora }) => amphora) };
      // All addresses are known before any configuration names them.
      const prepared = await attempt(wanted, each => prepare({ ...own, graph }, each));
      const served = await attempt(prepared.done, each => serve({ ...own, graph }, each, certificates));
      const serving = served.done.map(({ amphora }) => amphora);
      const failures = await ensureVrrp(own, serving, await leaving);
      throwFirst([...prepared.errors, ...served.errors, ...failures]);
      await awaitHolder(own, serving, plan.release);
      await standDown(own, await leaving);
      await announceVip(own, serving, (await leaving).filter(hasKeepalived));
      await all(plan.release.map(amphora => release(own, amphora)));
      await announceVip(own, serving, await leaving);
      await goOnAlone(own, serving);
      if (plan.release.length > 0) throwFirst(await ensureVrrp(own, serving, []));
      await releaseAccess(own);
      await releaseCertificates(own, certificates);
      return [...certificates.faults.values()];
    });
  }

  async remove(pass: Pass): Promise<PassResult> {
    return this.#run(pass, async own => {
      await all(own.graph.amphorae.map(amphora => release(own, amphora)));
      await releaseVip(own);
      await releaseCertificates(own, await openCertificates(own), true);
      return [];
    });
  }

  async reconcileUnowned(pass: Omit<Pass, 'graph'>): Promise<PassResult> {
    return this.#run({ ...pass, graph: await loadUnowned(this.#parts.db) }, async own => {
      const spares = own.graph.amphorae.map(spare =>
        isMarked(spare.status) ? release(own, spare) : ensureSpare(own, spare),
      );
      await all([...spares, this.#garbage.collect(own)]);
      return [];
    });
  }

  async #run(pass: Pass, script: (pass: AmphoraPass) => Promise<ResourceFault[]>): Promise<PassResult> {
    try {
      const parts = guardedParts(this.#parts, pass);
      const offer = await loadOffer(parts.db, pass.graph.load_balancer);
      const faults = await script({ ...pass, parts, facts: this.#facts, offer });
      return { done: true, faults };
    } catch (error) {
      // Waiting is no failure: the worker looks again without counting an attempt.
      if (error instanceof NotYet)
        return { done: false, waiting_for: error.message, again_after_ms: error.againAfterMs };
      throw error;
    }
  }
}

function insertRow(pass: AmphoraPass, seat: Parameters<typeof insertAmphora>[2]): Promise<Amphora> {
  const { db, clock } = pass.parts;
  return step(pass, 'insert amphora', pass.lease.loadbalancer_id, () =>
    insertAmphora(db, pass.lease, seat, clock.now()),
  );
}

interface Seat {
  amphora: Amphora;
  role: AmphoraRole;
}

/** Gives one amphora an agent that answers, and its addresses. */
async function prepare(pass: AmphoraPass, { amphora, role }: Seat): Promise<void> {
  await ensureInstance(pass, amphora);
  const [port] = await all([ensureVrrpPort(pass, amphora), ensureAgent(pass, amphora, role)] as const);
  await relying(pass, amphora, async () => {
    if (amphora.cert_busy) await rotateCertificate(pass, amphora);
    if (port) await plugVip(pass, amphora, port);
    if (amphora.config_due) await configureAgent(pass, amphora);
    await ensureMemberNetworks(pass, amphora);
  });
}

/** Makes one amphora that is prepared serve the graph. */
async function serve(pass: AmphoraPass, { amphora }: Seat, certificates: CertificatePass): Promise<void> {
  const facts = pass.facts.get(amphora.id)!;
  await relying(pass, amphora, async () => {
    const { names, files } = await loadCertificates(pass, certificates, amphora, facts);
    const config = {
      load_balancer_id: pass.graph.load_balancer.id,
      haproxy_cfg: renderHaproxyConfig(pass.graph, {
        amphora,
        haproxyVersion: facts.info.haproxy_version,
        details: facts.details,
        settings: pass.parts.settings.haproxy,
        certificates: names,
      }),
      certificates: files,
      udp_listeners: renderUdpListeners(pass.graph, pass.parts.settings.haproxy),
      obsolete_certificates: obsoleteCertificates(pass, certificates),
    };
    await applyConfig(pass, amphora, config);
    // With nothing to serve the amphora has removed all of them.
    facts.fence = pass.lease.fence;
    facts.certificates = new Set(config.haproxy_cfg === null ? [] : files.map(file => file.name));
    await releaseMemberNetworks(pass, amphora);
  });
}

/** After a failure the next pass asks the agent again, and the compute driver about the instance, before it relies on either. */
async function relying(pass: AmphoraPass, amphora: Amphora, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    pass.facts.delete(amphora.id);
    throw error;
  }
}

/** World first, then the row. Found by our own names, so that what a crash left unnoted goes too. */
async function release(pass: AmphoraPass, amphora: Amphora): Promise<void> {
  const { compute, network, db, clock, amphora: driver } = pass.parts;
  await step(pass, 'delete instance', amphora.id, () => compute.deleteInstance(instanceName(amphora.id)));
  for (const known of await listMemberPorts(db, amphora.id)) {
    await releaseMemberPort(pass, amphora, known);
  }
  await step(pass, 'release VRRP port', amphora.id, () => network.deletePort(vrrpPortName(amphora.id)));
  await step(pass, 'settle amphora', amphora.id, () =>
    settleAmphoraDeleted(db, pass.lease, amphora.id, clock.now()),
  );
  amphora.status = 'DELETED';
  pass.facts.delete(amphora.id);
  await driver.close(amphora.id);
}

/** Lets all of them end, and tells which did what was asked. */
async function attempt<T>(items: readonly T[], run: (item: T) => Promise<void>) {
  const results = await Promise.allSettled(items.map(run));
  return {
    done: items.filter((_, i) => results[i]!.status === 'fulfilled'),
    errors: results.flatMap(result => (result.status === 'rejected' ? [result.reason] : [])),
  };
}

/** What failed says more than what is only not there yet. */
function throwFirst(errors: readonly unknown[]): void {
  const error = errors.find(e => !(e instanceof NotYet)) ?? errors[0];
  if (error !== undefined) throw error;
}

/** Lets all of them end before one failure is told, so that a dead amphora does not keep the others from serving. */
async function all<T extends readonly Promise<unknown>[]>(
  promises: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const results = await Promise.allSettled(promises);
  throwFirst(results.flatMap(result => (result.status === 'rejected' ? [result.reason] : [])));
  return results.map(r => (r as PromiseFulfilledResult<unknown>).value) as never;
}
