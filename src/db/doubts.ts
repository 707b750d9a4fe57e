/** Amphorae that fell silent: doubted by health managers, asked and judged by workers under their lease. */
import { sql } from 'kysely';
import { timestamp } from '../lib/clock.ts';
import type { DoubtTimes, Silence } from '../model/health.ts';
import { IN_SERVICE } from './amphorae.ts';
import { announce } from './events.ts';
import { fenced, type Lease } from './lease.ts';
import type { AmphoraDoubtRow, Db } from './schema.ts';

/** Those that were last alive before the cutoff, and what came of the doubts since `recentMs`. */
export async function listSilence(db: Db, cutoffMs: number, recentMs: number): Promise<Silence> {
  const watched = db
    .selectFrom('amphora_health as h')
    .innerJoin('amphora as a', 'a.id', 'h.amphora_id')
    .where('a.status', 'in', IN_SERVICE)
    .where('h.busy', '=', 0);
  const { total } = await watched
    .select(eb => eb.fn.countAll<number>().as('total'))
    .executeTakeFirstOrThrow();
  const silent = await watched
    .leftJoin('amphora_doubt as d', 'd.amphora_id', 'a.id')
    .select(['a.id', 'h.last_update_ms', 'd.since_ms', 'd.verdict'])
    .where('h.last_update_ms', '<', cutoffMs)
    .orderBy('h.last_update_ms')
    .orderBy('a.id')
    .execute();
  const doubts = await db
    .selectFrom('amphora_doubt as d')
    .leftJoin('amphora as a', 'a.id', 'd.amphora_id')
    .select(['d.verdict', 'd.since_ms', 'a.status'])
    .execute();
  const isGone = (status: string | null) => status === null || status === 'DELETED';
  const isRecent = (doubt: { since_ms: number }) => Number(doubt.since_ms) >= recentMs;
  const unresolved = doubts.filter(d => d.verdict !== 'lives' && !isGone(d.status));
  return {
    total: Number(total),
    silent: silent.map(({ id, last_update_ms, since_ms, verdict }) => ({
      id,
      last_update_ms: Number(last_update_ms),
      doubt: since_ms === null ? undefined : { since_ms: Number(since_ms), verdict },
    })),
    unresolved: unresolved.length,
    under_way: unresolved.filter(isRecent).length,
    replaced: doubts.filter(d => d.verdict === 'dead' && isGone(d.status) && isRecent(d)).length,
  };
}

/**
 * Has the worker ask the amphora: its load balancer owes work, and no status changes. Returns the load balancer to notify,
 * or undefined when there is nothing to ask, or another health manager has seen to it.
 */
export async function markDoubted(db: Db, id: string, times: DoubtTimes): Promise<string | undefined> {
  return db.transaction().execute(async trx => {
    const owner = await trx
      .selectFrom('amphora as a')
      .innerJoin('load_balancer as l', 'l.id', 'a.loadbalancer_id')
      .select('l.id')
      .where('a.id', '=', id)
      .where('a.status', 'in', IN_SERVICE)
      .where('l.provisioning_status', 'not in', ['PENDING_DELETE', 'DELETED'])
      .executeTakeFirst();
    if (!owner) return undefined;
    // The lease's row first, as in every transaction about a load balancer; it also makes health managers take turns.
    await trx.updateTable('lease').set({ retry_at_ms: 0 }).where('loadbalancer_id', '=', owner.id).execute();
    const doubt = await trx
      .selectFrom('amphora_doubt')
      .selectAll()
      .where('amphora_id', '=', id)
      .executeTakeFirst();
    const { nowMs, askedBeforeMs } = times;
    if (doubt && (doubt.verdict !== 'lives' || Number(doubt.since_ms) >= askedBeforeMs)) return undefined;
    const set = { since_ms: nowMs, verdict: null };
    if (doubt) await trx.updateTable('amphora_doubt').set(set).where('amphora_id', '=', id).execute();
    else
      await trx
        .insertInto('amphora_doubt')
        .values({ amphora_id: id, answers: 0, ...set })
        .execute();
    await trx
      .updateTable('load_balancer')
      .set({ generation: sql<number>`generation + 1` })
      .where('id', '=', owner.id)
      .execute();
    return owner.id;
  });
}

/** Doubts are remembered while they are recent or the amphora is silent. */
export async function clearDoubts(db: Db, cutoffMs: number, recentMs: number): Promise<void> {
  const silent = db.selectFrom('amphora_health').select('amphora_id').where('last_update_ms', '<', cutoffMs);
  await db
    .deleteFrom('amphora_doubt')
    .where('since_ms', '<', recentMs)
    .where('amphora_id', 'not in', silent)
    .execute();
}

/** Amphorae of the load balancer that the worker is to ask. */
export async function listDoubts(db: Db, loadBalancerId: string): Promise<AmphoraDoubtRow[]> {
  return db
    .selectFrom('amphora_doubt as d')
    .innerJoin('amphora as a', 'a.id', 'd.amphora_id')
    .selectAll('d')
    .where('a.loadbalancer_id', '=', loadBalancerId)
    .where('a.status', 'in', IN_SERVICE)
    .where('d.verdict', 'is', null)
    .execute();
}

/**
 * Writes what the worker found; an amphora that reported meanwhile lives, whatever was found. A dead one is marked to be
 * replaced, which is when users see its load balancer as PENDING_UPDATE. Source: contract heartbeat.md 6.
 */
export async function settleDoubt(
  db: Db,
  lease: Lease,
  doubt: AmphoraDoubtRow,
  found: 'lives' | 'dead',
  nowMs: number,
): Promise<'lives' | 'dead'> {
  return fenced(db, lease, async trx => {
    const id = doubt.amphora_id;
    const heard = await trx
      .selectFrom('amphora_health')
      .select('amphora_id')
      .where('amphora_id', '=', id)
      .where('last_update_ms', '>', doubt.since_ms)
      .executeTakeFirst();
    const verdict = heard ? 'lives' : found;
    await trx
      .updateTable('amphora_doubt')
      .set({ verdict, answers: doubt.answers + (verdict === 'lives' ? 1 : 0) })
      .where('amphora_id', '=', id)
      .execute();
    if (verdict === 'lives') return verdict;
    await trx
      .updateTable('load_balancer')
      .set({ provisioning_status: 'PENDING_UPDATE' })
      .where('id', '=', lease.loadbalancer_id)
      .where('provisioning_status', 'in', ['ACTIVE', 'ERROR'])
      .execute();
    await trx
      .updateTable('amphora')
      .set({ status: 'ERROR', updated_at: timestamp(nowMs) })
      .where('id', '=', id)
      .where('status', 'in', IN_SERVICE)
      .execute();
    await announce(trx, lease.loadbalancer_id, nowMs);
    return verdict;
  });
}
