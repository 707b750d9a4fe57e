/** What the reconciler did for a load balancer and will do next: one answer, or events as it goes on. Not Octavia's. */
import { Readable } from 'node:stream';
import type { PassRow } from '../../db/schema.ts';
import { findStanding, listPasses, type Standing } from '../../db/timeline.ts';
import { timestamp } from '../../lib/clock.ts';
import { Fault } from '../../lib/errors.ts';
import type {
  PassUnderWay,
  Timeline,
  TimelinePass,
  TimelineState,
  TimelineStep,
} from '../../model/timeline.ts';
import type { PassProgress, TraceStep } from '../../providers/trace.ts';
import { isAllowed } from '../auth.ts';
import { isTrueWord } from '../fields.ts';
import type { ApiDeps, Call, Operation } from '../resource.ts';
import { findLoadBalancer, LOAD_BALANCERS } from './load-balancers.ts';

const DEFAULT_PASSES = 10;
/** As many as are kept. */
const MOST_PASSES = 50;
const POLL_MS = 250;
/** Between two signs of life, by which both sides notice an end of the other. */
const SILENCE_MS = 5000;
/** Then the client comes again, and has to be allowed to. */
const FOLLOW_LIMIT_MS = 10 * 60_000;

export function timelineOperations(deps: ApiDeps): Operation[] {
  const path = '/ottavia/loadbalancers/:id/timeline';
  const query = ['limit', 'follow'];
  const common = { method: 'GET', path, query, status: 200, of: LOAD_BALANCERS } as const;
  return [{ ...common, answers: 'timeline', live: true, run: call => show(deps, call) }];
}

async function show(deps: ApiDeps, call: Call): Promise<{ timeline: Timeline } | Readable> {
  const { id, project_id } = await findLoadBalancer(deps, call, 'get_one');
  const limit = limitOf(call.query.get('limit'));
  const seesAmphorae = isAllowed(call.caller, 'amphora:get_all', project_id);
  const look = async (): Promise<Timeline | undefined> => {
    const standing = await findStanding(deps.db, id);
    if (!standing) return undefined;
    const passes = await listPasses(deps.db, id, limit);
    const nowMs = deps.clock.now();
    const progress = isHeld(standing.lease, nowMs) ? standing.lease?.progress : null;
    const under_way = progress ? progressView(JSON.parse(progress), seesAmphorae) : null;
    return { ...describe(standing, passes, nowMs, seesAmphorae), under_way };
  };
  if (isTrueWord(call.query.get('follow') ?? '')) return Readable.from(follow(deps, look));
  return { timeline: (await look())! };
}

function limitOf(text: string | null): number {
  if (text === null) return DEFAULT_PASSES;
  const limit = Number(text);
  if (/^\d{1,2}$/.test(text) && limit > 0 && limit <= MOST_PASSES) return limit;
  throw new Fault('invalid', `Invalid limit: it must be an integer from 1 to ${MOST_PASSES}.`);
}

/**
 * Server-sent events, each a timeline: the first is whole, those that follow have the passes which are new, and come when
 * anything has changed. Ends when the load balancer is gone.
 */
async function* follow(
  { clock }: Pick<ApiDeps, 'clock'>,
  look: () => Promise<Timeline | undefined>,
): AsyncGenerator<string> {
  const startedMs = clock.now();
  const sent = new Set<string>();
  let [last, spokeMs] = ['', startedMs];
  while (clock.now() < startedMs + FOLLOW_LIMIT_MS) {
    const timeline = await look();
    if (!timeline) return;
    const news = timeline.passes.filter(({ id }) => !sent.has(id));
    for (const { id } of news) sent.add(id);
    const text = JSON.stringify({ timeline: { ...timeline, passes: news } });
    if (text !== last || clock.now() - spokeMs >= SILENCE_MS) {
      yield text === last ? ':\n\n' : `event: timeline\ndata: ${text}\n\n`;
      spokeMs = clock.now();
    }
    last = JSON.stringify({ timeline: { ...timeline, passes: [] } });
    if (timeline.state === 'deleted') return;
    await clock.sleep(POLL_MS);
  }
}

function describe(
  standing: Standing,
  rows: readonly PassRow[],
  nowMs: number,
  seesAmphorae: boolean,
): Omit<Timeline, 'under_way'> {
  const { load_balancer: lb, lease } = standing;
  const state = stateOf(standing, rows.at(-1), nowMs);
  const owes = state === 'failing' || state === 'waiting';
  const since = sinceMs(state, standing, rows);
  return {
    loadbalancer_id: lb.id,
    provisioning_status: lb.provisioning_status,
    operating_status: lb.operating_status,
    state,
    since: since === undefined ? null : timestamp(since),
    generation: lb.generation,
    settled_generation: lb.settled_generation,
    failed_passes: lease?.attempts ?? 0,
    error_reason: lb.error_reason,
    next_try_at: owes && lease && lease.retry_at_ms > 0 ? timestamp(lease.retry_at_ms) : null,
    passes: rows.map(row => passView(row, seesAmphorae)),
  };
}

export function stateOf(
  { load_balancer: lb, owes_work, lease }: Standing,
  last: Pick<PassRow, 'outcome'> | undefined,
  nowMs: number,
): TimelineState {
  if (lb.provisioning_status === 'DELETED' || !lease) return 'deleted';
  if (!owes_work) return 'settled';
  if (isHeld(lease, nowMs)) return 'working';
  if (lease.attempts > 0) return 'failing';
  return last?.outcome === 'waiting' ? 'waiting' : 'queued';
}

function isHeld(lease: Standing['lease'], nowMs: number): boolean {
  return lease !== undefined && lease.owner !== null && lease.expires_at_ms > nowMs;
}

/** What was owed is done since the end of the last pass; what is not done is tried since the first pass after that. */
function sinceMs(state: TimelineState, { lease }: Standing, rows: readonly PassRow[]): number | undefined {
  if (lease?.failing_since_ms) return lease.failing_since_ms;
  const isOver = (row: PassRow) => row.outcome === 'done' || row.outcome === 'removed';
  const last = rows.at(-1);
  if (state === 'settled' || state === 'deleted')
    return last && isOver(last) ? last.started_at_ms + last.duration_ms : undefined;
  return rows.slice(rows.findLastIndex(isOver) + 1)[0]?.started_at_ms;
}

/** Where instances are, and by whom they are made, is the operator's business. Source: contract rbac.md 2, amphora rules. */
function passView(row: PassRow, seesAmphorae: boolean): TimelinePass {
  const steps = JSON.parse(row.steps) as TraceStep[];
  return {
    id: row.id,
    generation: row.generation,
    started_at: timestamp(row.started_at_ms),
    duration_ms: row.duration_ms,
    outcome: row.outcome,
    reason: row.reason,
    steps: steps.map(step => stepView(step, seesAmphorae)),
    ...(seesAmphorae && { worker: row.worker }),
  };
}

function progressView(
  { generation, started_at_ms, steps, current }: PassProgress,
  seesAmphorae: boolean,
): PassUnderWay {
  return {
    generation,
    started_at: timestamp(started_at_ms),
    steps: steps.map(step => stepView(step, seesAmphorae)),
    current: current
      ? {
          ...{ step: current.step, started_at: timestamp(current.started_at_ms) },
          ...(seesAmphorae && { subject: current.subject }),
        }
      : null,
  };
}

function stepView(
  { started_at_ms, subject, note, cause, ...step }: TraceStep,
  seesAmphorae: boolean,
): TimelineStep {
  const shown = { ...step, started_at: timestamp(started_at_ms) };
  return seesAmphorae ? { ...shown, subject, ...(note && { note }), ...(cause && { cause }) } : shown;
}
