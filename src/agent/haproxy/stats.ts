/** haproxy's statistics table as the parts of a heartbeat. Source: contract heartbeat.md 2 and 3. */
import type { HeartbeatPool } from '../../wire/heartbeat.ts';
import type { Absolute } from '../counters.ts';

export type StatsRow = Record<string, string>;

export interface Observation {
  /** Counters since haproxy's start. */
  listeners: Record<string, { status: string; counters: Absolute; conns: number }>;
  /** Keyed by `<pool>:<listener>`. */
  pools: Record<string, HeartbeatPool>;
}

/** Rows of `show stat`; those of the metrics exporter are not the tenant's. */
export function parseStats(csv: string): StatsRow[] {
  const [head, ...lines] = csv.trim().split('\n');
  const names = head?.replace(/^#\s*/, '').split(',') ?? [];
  return lines
    .map(line => {
      const values = splitCsv(line);
      return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']));
    })
    .filter(row => row.pxname !== undefined && !row.pxname.includes('prometheus'));
}

/** The text of a failed check is quoted and may hold commas. */
function splitCsv(line: string): string[] {
  if (!line.includes('"')) return line.split(',');
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  );
}

/** `isKnown` tells a member from a server that only waits for its last connection. */
export function observe(
  rows: readonly StatsRow[],
  isKnown: (backend: string, server: string) => boolean,
): Observation {
  const observation: Observation = { listeners: {}, pools: {} };
  for (const row of rows) {
    const { pxname, svname, status } = row as { pxname: string; svname: string; status: string };
    if (svname === 'FRONTEND') {
      observation.listeners[pxname] = {
        status,
        conns: Number(row.scur),
        counters: {
          bin: Number(row.bin),
          bout: Number(row.bout),
          ereq: Number(row.ereq),
          stot: Number(row.stot),
        },
      };
    } else if (svname === 'BACKEND') {
      poolOf(observation, pxname).status = status;
    } else if (isKnown(pxname, svname)) {
      poolOf(observation, pxname).members[svname] = memberStatus(status, row.weight);
    }
  }
  return observation;
}

function poolOf(observation: Observation, name: string): HeartbeatPool {
  observation.pools[name] ??= { status: '', members: {} };
  return observation.pools[name];
}

function memberStatus(status: string, weight: string | undefined): string {
  return status === 'UP' && weight === '0' ? 'DRAIN' : status;
}

/** The statuses without counters and without how far a check has come: when it differs, somebody should hear of it at once. */
export function statusesOf(observation: Observation): string {
  const listeners = Object.entries(observation.listeners).map(([id, { status }]) => [id, status]);
  return JSON.stringify([listeners, observation.pools]).replaceAll(/ \d+\/\d+"/g, '"');
}
