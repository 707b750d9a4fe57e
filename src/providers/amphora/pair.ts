/** Two amphorae of one load balancer: their keepalived settles which holds the VIPs. */
import { createHash } from 'node:crypto';
import { renderVrrp } from '../../dataplane/keepalived/vrrp.ts';
import { ensureVrrpGroup, storeGiven } from '../../db/vrrp-groups.ts';
import { errorChain } from '../../lib/errors.ts';
import type { Amphora } from '../../model/amphora.ts';
import { type AmphoraPass, NotYet, step } from './parts.ts';
import { listVips } from './plug.ts';

const READY_MS = 2000;
const POLL_MS = 50;

/** What is under way when others have the VIPs may end. */
const LAST_REQUESTS_MS = 200;

/** Of those that are to go the ones that answer: one of them may hold the VIPs. Never throws. */
export async function findLeaving(pass: AmphoraPass, release: readonly Amphora[]): Promise<Amphora[]> {
  const asked = release.filter(a => a.status !== 'ERROR' && a.vrrp_interface !== null);
  // One that answers wrongly goes without a farewell, like one that does not answer.
  const answers = await Promise.all(asked.map(a => pass.parts.amphora.findInfo(a).catch(() => undefined)));
  return asked.filter((_, i) => answers[i] !== undefined);
}

/**
 * Has each keepalived know all others, the oldest first, so that a new one hears who holds the VIPs before it decides, and the
 * holder keeps them. Returns what failed; those that are leaving may fail.
 */
export async function ensureVrrp(
  pass: AmphoraPass,
  serving: readonly Amphora[],
  allLeaving: readonly Amphora[],
): Promise<unknown[]> {
  const leaving = allLeaving.filter(hasKeepalived);
  if (pass.graph.load_balancer.topology !== 'ACTIVE_STANDBY') return [];
  const { db, amphora: driver, settings, log } = pass.parts;
  const group = await ensureVrrpGroup(db, pass.lease, settings.vrrp.advertIntervalMs);
  const vips = await listVips(pass);
  const errors: unknown[] = [];
  let gave = false;
  for (const amphora of [...serving, ...leaving].toSorted(byAge)) {
    try {
      const conf = renderVrrp(pass.graph, { amphora, vips, group, settings: settings.vrrp });
      const digest = createHash('sha256').update(conf).digest('hex').slice(0, 16);
      if (group.given[amphora.id] === digest) continue;
      await step(pass, 'apply VRRP', amphora.id, async () => {
        // Whoever dies half-way leaves nothing that looks as if it had been given.
        if (amphora.id in group.given) await store(undefined);
        await driver.applyVrrp(amphora, conf);
        await store(digest);
      });
      gave = true;
      async function store(digest: string | undefined) {
        const { [amphora.id]: _, ...given } = group.given;
        group.given = digest === undefined ? given : { ...given, [amphora.id]: digest };
        await storeGiven(db, pass.lease, group);
      }
    } catch (error) {
      if (!leaving.includes(amphora)) errors.push(error);
      // It goes in any case; without it the others take over a little later.
      else log.warn({ amphora: amphora.id, reason: errorChain(error) }, 'a leaving amphora does not listen');
    }
  }
  // A keepalived that was started looks at its haproxy and listens for a while, before it can take over.
  if (gave && allLeaving.length > 0)
    errors.push(new NotYet('keepalived to be ready to take over', 3 * group.advert_interval_ms + READY_MS));
  return errors;
}

/**
 * One that answers nobody may still serve, when only its management link is cut. The others do not listen to it any more, and so one
 * of them comes to hold the VIPs as well; that is waited for before it goes, but not for ever.
 */
export async function awaitHolder(
  pass: AmphoraPass,
  serving: readonly Amphora[],
  release: readonly Amphora[],
): Promise<void> {
  const isLost = (amphora: Amphora) => amphora.status === 'ERROR' && hasKeepalived(amphora);
  if (pass.graph.load_balancer.topology !== 'ACTIVE_STANDBY' || !release.some(isLost)) return;
  const { clock, settings } = pass.parts;
  await step(pass, 'wait for holder of VIP', pass.lease.loadbalancer_id, async () => {
    const deadline = clock.now() + 4 * settings.vrrp.advertIntervalMs + READY_MS;
    while (!(await someHolds(pass, serving)) && clock.now() < deadline)
      await clock.sleep(POLL_MS, pass.signal);
  });
}

async function someHolds(pass: AmphoraPass, serving: readonly Amphora[]): Promise<boolean> {
  // One that does not answer counts as one that has it not.
  return (await Promise.all(serving.map(each => hasVip(pass, each).catch(() => false)))).includes(true);
}

/** Throws when the agent does not answer, or has another answer than an interface. */
export async function hasVip({ parts, graph }: AmphoraPass, amphora: Amphora): Promise<boolean> {
  return (await parts.amphora.interfaceOf(amphora, graph.load_balancer.vip_address!)) !== '';
}

/** They serve until the others do, and a little longer. */
export async function standDown(pass: AmphoraPass, leaving: readonly Amphora[]): Promise<void> {
  const { amphora: driver, clock, log } = pass.parts;
  await Promise.all(
    leaving.map(amphora =>
      step(pass, 'stand down', amphora.id, async () => {
        if (!hasKeepalived(amphora)) return clock.sleep(LAST_REQUESTS_MS, pass.signal);
        try {
          await driver.applyVrrp(amphora, null);
        } catch (error) {
          // Its end tells the others as well.
          log.warn({ amphora: amphora.id, reason: errorChain(error) }, 'an amphora does not stand down');
        }
      }),
    ),
  );
}

export const hasKeepalived = (amphora: Amphora): boolean => amphora.vrrp_priority !== null;

const byAge = (a: Amphora, b: Amphora): number => (a.created_at < b.created_at ? -1 : 1);
