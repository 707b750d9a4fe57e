/** A reload while the running haproxy stands still, and so cannot hand its sockets over. */
import { createServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { haproxiesOf, listAmphorae, settledHaproxy } from './amphora-processes.ts';
import { DualVip, FAMILIES, type Service } from './dual-vip.ts';
import { titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

const CLIENTS = 20;

describe.skipIf(trafficObstacle)(titled('a haproxy that stands still'), () => {
  let vip: DualVip;
  let service: Service;

  beforeAll(async () => {
    vip = await DualVip.open();
    const port = await vip.listen(createServer((_, response) => response.end('served')));
    service = await vip.serve({ members: [port] });
    await vip.active();
  });
  afterAll(() => vip?.[Symbol.asyncDispose]());

  test('is reloaded, and the clients in its queue are served [reload, IPv4, IPv6]', async () => {
    const [amphora] = listAmphorae(vip.system.dataDir);
    const running = () => haproxiesOf(vip.system.dataDir, amphora!).map(({ pid }) => pid);
    const { master, worker: old } = await settledHaproxy(vip.system.dataDir, amphora!);
    process.kill(old, 'SIGSTOP');
    const waiting = FAMILIES.flatMap(family =>
      Array.from({ length: CLIENTS }, () =>
        vip.clients.ask(service.url(family), vip.addresses[family][0]!, 30_000),
      ),
    );
    const answers = Promise.allSettled(waiting);
    process.kill(master, 'SIGUSR2');
    await until('a new process', () => running().length === 3);
    process.kill(old, 'SIGCONT');
    await until('the old process is gone', () => !running().includes(old));
    const failed = (await answers).flatMap(answer =>
      answer.status === 'rejected' ? [String(answer.reason)] : [],
    );
    expect(failed).toEqual([]);
  });
});
