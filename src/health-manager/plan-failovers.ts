/** Which silent amphorae are to be asked whether they live, and which are held back because too many are silent. Pure. */
import type { Silence, SilentAmphora } from '../model/health.ts';

export interface FailoverLimits {
  nowMs: number;
  heartbeatTimeoutMs: number;
  /** With this many silent at once the fault is the network's or our own; null: a share of all. */
  failoverThreshold: number | null;
  /** Asked or replaced at the same time. */
  failoversAtOnce: number;
}

export interface FailoverPlan {
  ask: string[];
  hold: string[];
}

/** After so many timeouts a silence is long, and what was done about one is forgotten. */
export const LONG_TIMEOUTS = 10;
const STORM_SHARE = 0.2;
const LEAST_STORM = 3;
/** In a small cloud several amphorae of one host may die together. */
const LEAST_STORM_OF_MANY = 5;

/**
 * In a storm nothing is asked for a long while, because what cannot report cannot be asked either. Then one is, one more for
 * each that has been replaced, and one more each time the silence has doubled: where the amphorae are dead, all are
 * replaced in the end, faster and faster; where the network is cut, no replacement comes to an end, and it stays at a few.
 */
export function planFailovers(silence: Silence, limits: FailoverLimits): FailoverPlan {
  const { nowMs, heartbeatTimeoutMs, failoversAtOnce } = limits;
  const due = silence.silent
    .filter(amphora => isDue(amphora, nowMs - heartbeatTimeoutMs))
    // One that answered before is the less likely to be dead.
    .sort((a, b) => Number(a.doubt !== undefined) - Number(b.doubt !== undefined));
  if (!isStorm(silence, limits)) {
    const free = Math.max(0, failoversAtOnce - silence.under_way);
    return { ask: ids(due).slice(0, free), hold: [] };
  }
  const longTimes = (a: SilentAmphora) => (nowMs - a.last_update_ms) / (LONG_TIMEOUTS * heartbeatTimeoutMs);
  const long = due.filter(amphora => longTimes(amphora) > 1);
  const patience = Math.floor(Math.log2(Math.max(1, ...long.map(longTimes))));
  const free = Math.min(failoversAtOnce, 1 + silence.replaced + patience) - silence.unresolved;
  const ask = ids(long).slice(0, Math.max(0, free));
  return { ask, hold: ids(due).filter(id => !ask.includes(id)) };
}

/** Those that answered when they were asked are known to live. */
function isStorm({ silent, total }: Silence, { failoverThreshold }: FailoverLimits): boolean {
  const unexplained = silent.filter(amphora => amphora.doubt?.verdict !== 'lives').length;
  const threshold =
    failoverThreshold ??
    Math.max(LEAST_STORM, Math.min(total, LEAST_STORM_OF_MANY), Math.ceil(total * STORM_SHARE));
  return unexplained > 0 && unexplained >= threshold;
}

function isDue({ last_update_ms, doubt }: SilentAmphora, cutoffMs: number): boolean {
  if (last_update_ms >= cutoffMs) return false;
  return doubt === undefined || (doubt.verdict === 'lives' && doubt.since_ms < cutoffMs);
}

const ids = (amphorae: readonly SilentAmphora[]): string[] => amphorae.map(({ id }) => id);
