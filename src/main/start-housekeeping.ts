/** Starts housekeeping. */
import { Housekeeping } from '../housekeeping/housekeeping.ts';
import { housekeepingOptionsOf } from './housekeeping-settings.ts';
import type { Parts } from './parts.ts';

export function startHousekeeping({ settings, db, queue, clock, log, started }: Parts): void {
  const housekeeping = new Housekeeping(housekeepingOptionsOf(settings), { db, queue, clock, log });
  housekeeping.start();
  started.defer(() => housekeeping.stop());
}
