/** What an agent answers about the change that it was asked for: checked, because tenants' traffic runs beside it. */
import { type HaproxyChanges, LAST_KEPT } from '../../model/amphora.ts';
import type { Applied } from './amphora.ts';

/** The original's agents say nothing of it, and reload each time. */
const ASSUMED: Applied = { how: 'reloaded', reason: 'its agent does not tell why', changes: null };

const LONGEST = 500;

/** The answer to `PUT …/reload`. Whatever is not in order in it counts as not said. */
export function decodeApplied(json: unknown): Applied {
  const { applied } = (json ?? {}) as { applied?: Record<string, unknown> };
  const how = (['started', 'reloaded', 'runtime', 'nothing'] as const).find(each => each === applied?.how);
  const changes = decodeChanges(applied?.changes);
  if (how === undefined || changes === undefined) return ASSUMED;
  return { how, reason: textOf(applied?.reason), changes };
}

function decodeChanges(value: unknown): HaproxyChanges | undefined {
  const { last, ...counts } = (value ?? {}) as Record<keyof HaproxyChanges, unknown>;
  const { started, reloaded, runtime } = counts as Record<string, number>;
  if (![started, reloaded, runtime].every(Number.isSafeInteger) || !Array.isArray(last)) return undefined;
  const entries = last.slice(0, LAST_KEPT).map((entry: Record<string, unknown> | null) => ({
    at: textOf(entry?.at),
    how: entry?.how === 'started' ? ('started' as const) : ('reloaded' as const),
    reason: textOf(entry?.reason),
  }));
  return { started: started!, reloaded: reloaded!, runtime: runtime!, last: entries };
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value.slice(0, LONGEST) : '');
