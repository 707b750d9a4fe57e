/** Facts about this installation, by name: the system id, keys made at the first start, ids of its first networks. */
import { isDuplicate } from './failures.ts';
import type { Db } from './schema.ts';

export async function findSystemFact(db: Db, name: string): Promise<string | undefined> {
  const row = await db.selectFrom('system').select('value').where('name', '=', name).executeTakeFirst();
  return row?.value;
}

/** Writes the fact, replacing an earlier value. */
export async function setSystemFact(db: Db, name: string, value: string): Promise<void> {
  await db.transaction().execute(async trx => {
    await trx.deleteFrom('system').where('name', '=', name).execute();
    await trx.insertInto('system').values({ name, value }).execute();
  });
}

/** The fact as it stands; the first caller's `make` decides it for good. */
export async function ensureSystemFact(
  db: Db,
  name: string,
  make: () => string | Promise<string>,
): Promise<string> {
  const existing = await findSystemFact(db, name);
  if (existing !== undefined) return existing;
  const value = await make();
  try {
    await db.insertInto('system').values({ name, value }).execute();
    return value;
  } catch (error) {
    if (!isDuplicate(error)) throw error;
    // Whoever loses the race takes the winner's value.
    return (await findSystemFact(db, name))!;
  }
}
