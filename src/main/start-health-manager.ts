/** Starts the health manager: what receives heartbeats, and what looks for amphorae that send none. */
import { DatabaseHealth } from '../db/health.ts';
import { HealthManager } from '../health-manager/health-manager.ts';
import { OverdueWatch } from '../health-manager/overdue.ts';
import type { Secret } from '../lib/secret.ts';
import type { Parts } from './parts.ts';

/** Returns where heartbeats are received. */
export async function startHealthManager(
  { settings, db, queue, clock, log, started }: Parts,
  { bindIp, heartbeatKey }: { bindIp: string; heartbeatKey: Secret },
): Promise<string> {
  const health = settings.health_manager;
  const parts = { store: new DatabaseHealth(db), queue, clock, log };
  const heartbeatTimeoutMs = health.heartbeat_timeout * 1000;
  const manager = new HealthManager(
    {
      bindIp,
      bindPort: health.bind_port,
      keys: [heartbeatKey],
      heartbeatIntervalMs: health.heartbeat_interval * 1000,
      heartbeatTimeoutMs,
    },
    parts,
  );
  await manager.start();
  started.defer(() => manager.stop());
  const checkIntervalMs = health.health_check_interval * 1000;
  const { failover_threshold: failoverThreshold, failover_threads: failoversAtOnce } = health;
  const limits = { heartbeatTimeoutMs, checkIntervalMs, failoverThreshold, failoversAtOnce };
  const overdue = new OverdueWatch(limits, parts);
  overdue.start();
  started.defer(() => overdue.stop());
  const { address, port } = manager.address();
  return `${address} port ${port}`;
}
