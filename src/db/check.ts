/** Asks whether the database answers, for the health check of the API. */
import { sql } from 'kysely';
import { Fault } from '../lib/errors.ts';
import type { Db } from './schema.ts';

/** Throws `unavailable` when it does not. */
export async function checkDatabase(db: Db): Promise<void> {
  try {
    await sql`select 1`.execute(db);
  } catch (cause) {
    throw new Fault('unavailable', 'The database does not answer', { cause });
  }
}
