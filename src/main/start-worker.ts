/** Starts the worker under a name that no other process has. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { ProviderEntry } from '../api/server.ts';
import { Worker } from '../worker/worker.ts';
import type { Parts } from './parts.ts';

export function startWorker(
  { settings, db, queue, clock, log, started }: Parts,
  providers: Map<string, ProviderEntry>,
): void {
  const worker = new Worker({
    ...{ db, queue, clock, log, providers },
    owner: `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`,
    leaseTtlMs: settings.ottavia.lease_ttl * 1000,
    patienceMs: settings.ottavia.error_after * 1000,
    concurrency: settings.ottavia.worker_concurrency,
    sweepIntervalMs: settings.ottavia.sweep_interval * 1000,
  });
  worker.start();
  started.defer(() => worker.stop());
}
