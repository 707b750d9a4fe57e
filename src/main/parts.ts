/** What every program is made of, whether it has a process to itself or shares one with all others. */
import { randomBytes } from 'node:crypto';
import type { Db } from '../db/schema.ts';
import { ensureSystemFact } from '../db/system.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { Secret } from '../lib/secret.ts';
import type { Queue } from '../queue/queue.ts';
import type { Settings } from './settings.ts';

export interface Parts {
  settings: Settings;
  /** Where files are that the settings name without a path. */
  configDirectory: string;
  db: Db;
  queue: Queue;
  clock: Clock;
  log: Log;
  /** What the program has to end, the newest first. */
  started: AsyncDisposableStack;
}

/** Without one in the settings, the one that all who share the database have. */
export async function ensureHeartbeatKey(settings: Settings, db: Db): Promise<Secret> {
  if (settings.health_manager.heartbeat_key.reveal() !== '') return settings.health_manager.heartbeat_key;
  return new Secret(await ensureSystemFact(db, 'heartbeat_key', () => randomBytes(32).toString('base64url')));
}
