/** Splits the time from a request to its effect among the steps of the passes in between. Pure. */
import type { RecordedPass } from './system.ts';

/**
 * Name and milliseconds, in the order in which the parts began; together they are the whole time. Steps that run at once
 * share nothing here: a moment belongs to the one that began first.
 */
export function splitTime(
  passes: readonly Pick<RecordedPass, 'started_at_ms' | 'duration_ms' | 'steps'>[],
  fromMs: number,
  untilMs: number,
): [name: string, ms: number][] {
  const parts = new Map<string, number>();
  let reachedMs = fromMs;
  const spend = (name: string, toMs: number) => {
    const end = Math.min(Math.max(toMs, reachedMs), untilMs);
    parts.set(name, (parts.get(name) ?? 0) + end - reachedMs);
    reachedMs = end;
  };
  for (const [index, pass] of passes.entries()) {
    if (pass.started_at_ms >= untilMs) break;
    spend(index === 0 ? 'until the first pass begins' : 'between passes', pass.started_at_ms);
    for (const { step, started_at_ms, duration_ms } of pass.steps.toSorted(byBeginning)) {
      spend('within passes, between steps', started_at_ms);
      spend(step, started_at_ms + duration_ms);
    }
    if (pass.started_at_ms + pass.duration_ms < untilMs)
      spend('within passes, between steps', pass.started_at_ms + pass.duration_ms);
  }
  spend('after the last step', untilMs);
  return [...parts];
}

const byBeginning = (a: { started_at_ms: number }, b: { started_at_ms: number }): number =>
  a.started_at_ms - b.started_at_ms;
