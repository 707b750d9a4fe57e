/** Several programs over a real database and a real broker, under faults and load: nothing accepted is lost, nothing is stuck. */
import { expect, test } from 'vitest';
import { SERVER_KINDS, type ServerKind, serverObstacle } from '../database-server.ts';
import { brokerObstacle } from '../message-broker.ts';
import { chaosOptions, runChaos, SETTLE_LIMIT_MS } from './chaos.ts';

/** With start, settling and the clean-up after it: three minutes, and one. */
const SECONDS: Record<ServerKind, number> = { MariaDB: 110, PostgreSQL: 25 };

for (const database of SERVER_KINDS) {
  const options = chaosOptions(database, SECONDS[database]);
  const timeout = options.seconds * 1000 + SETTLE_LIMIT_MS + 300_000;
  test(`programs that are killed, halted and misled over ${database} (seed ${options.seed})`, {
    timeout,
  }, async context => {
    const obstacle = serverObstacle(database) ?? brokerObstacle();
    if (obstacle) context.skip(obstacle);
    const result = await runChaos(options);
    const { problems, counts, refused, accepted_writes, seconds_to_settle } = result;
    console.log(`${accepted_writes} writes accepted; settled after ${seconds_to_settle} s`, counts, refused);
    expect(problems).toEqual([]);
    expect(accepted_writes).toBeGreaterThan(options.seconds);
    // A run in which nobody was halted, replaced and refused proves nothing of leases.
    expect(counts['halted workers with a successor']).toBeGreaterThan(0);
    expect(refused['by the fence in the database'] + refused['by the age of the lease']).toBeGreaterThan(0);
  });
}
