/** A database server that is killed under its users: they are told, they live, and they go on when it is back. */
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { openDatabase } from '../src/db/open.ts';
import { givenLoadBalancer } from '../src/db/testing.ts';
import { SERVER_KINDS, serverObstacle, startDatabaseServer } from './database-server.ts';

const LIMIT_MS = 120_000;

for (const kind of SERVER_KINDS) {
  test(`${kind} may be killed in the middle of a transaction`, { timeout: LIMIT_MS }, async context => {
    const obstacle = serverObstacle(kind);
    if (obstacle) context.skip(obstacle);
    await using server = await startDatabaseServer(kind);
    const db = await openDatabase(server.createDatabase('octavia'));
    try {
      const id = await givenLoadBalancer(db);
      const rename = (name: string) => db.updateTable('load_balancer').set({ name }).where('id', '=', id);
      await rename('before').execute();
      const name = () => db.selectFrom('load_balancer').select('name').executeTakeFirstOrThrow();
      const untilBack = () =>
        expect.poll(() => name().catch(() => 'away'), { timeout: LIMIT_MS }).toEqual({ name: 'before' });
      const lost = db.transaction().execute(async trx => {
        await trx.updateTable('load_balancer').set({ name: 'during' }).where('id', '=', id).execute();
        await server.restart(0);
        // By then nothing of the one before is left.
        await untilBack();
        await trx.selectFrom('lease').selectAll().execute();
      });
      await expect(lost).rejects.toThrow();
      await untilBack();
      // Whoever is halted in a transaction does not keep its locks for ever.
      const setting =
        kind === 'MariaDB'
          ? sql<{ limit: unknown }>`select @@idle_transaction_timeout as ${sql.ref('limit')}`
          : sql<{
              limit: unknown;
            }>`select current_setting('idle_in_transaction_session_timeout') as ${sql.ref('limit')}`;
      expect(String((await setting.execute(db)).rows[0]!.limit)).toMatch(/^10s?$/);
    } finally {
      await db.destroy();
    }
  });
}
