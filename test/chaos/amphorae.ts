/** What the amphorae of the cloud in memory say: heartbeats of what they were told to run, to the health managers in turn. */
import { createSocket } from 'node:dgram';
import type { Secret } from '../../src/lib/secret.ts';
import { encodeHeartbeat } from '../../src/wire/heartbeat-codec.ts';
import type { ChaosCloud } from './chaos-cloud.ts';

const STATS = { tx: 10, rx: 10, conns: 1, totconns: 1, ereq: 0 };

/** Returns what ends it. */
export function sendHeartbeats(
  cloud: ChaosCloud,
  ports: readonly number[],
  key: Secret,
  intervalMs: number,
): () => void {
  const socket = createSocket('udp4');
  socket.on('error', () => {}); // A health manager that is away: the packet is lost.
  let round = 0;
  const timer = setInterval(() => {
    round++;
    cloud.livingInstances().forEach(({ name, agent }, i) => {
      const frontends = agent.config?.haproxy_cfg?.matchAll(/^frontend (\S+)/gm) ?? [];
      const listeners = [...frontends].map(([, id]) => [id!, { status: 'OPEN', stats: STATS }] as const);
      const id = name.replace('amphora-', '');
      const heartbeat = { id, seq: round, listeners: Object.fromEntries(listeners), pools: {}, ver: 3 };
      socket.send(encodeHeartbeat(heartbeat, key), ports[(round + i) % ports.length]!, '127.0.0.1', () => {});
      cloud.count('heartbeats');
    });
  }, intervalMs);
  return () => {
    clearInterval(timer);
    socket.close();
  };
}
