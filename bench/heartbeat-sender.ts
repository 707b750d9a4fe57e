/**
 * Heartbeats of a whole cloud as a program of its own: `PORT`, and the ids as the first line of its standard input. Each line after it,
 * `COUNT RATE`, has so many sent at so many a second, and is answered when they are.
 */
import { createSocket } from 'node:dgram';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Secret } from '../src/lib/secret.ts';
import { encodeHeartbeat } from '../src/wire/heartbeat-codec.ts';
import { type HeartbeatCloud, heartbeatOf } from './heartbeat-cloud.ts';

/** Different messages of each amphora. */
const ROUNDS = 5;
/** Sent at once when the sender itself was held up. */
const BURST = 200;

const port = Number(process.argv[2]);
const socket = createSocket('udp4');
socket.connect(port, '127.0.0.1');
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { key, load_balancers } = JSON.parse((await lines.next()).value!) as HeartbeatCloud;
const secret = new Secret(key);
const packets = Array.from({ length: ROUNDS }, (_, round) =>
  load_balancers.map((lb, index) => encodeHeartbeat(heartbeatOf(lb, round, index % 100 === 0), secret)),
).flat();
process.stdout.write('ready\n');

let next = 0;
for await (const line of lines) {
  const [count, rate] = line.split(' ').map(Number) as [number, number];
  const startMs = performance.now();
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, ((performance.now() - startMs) * rate) / 1000, sent + BURST);
    for (; sent < due; sent++) socket.send(packets[next++ % packets.length]!);
    await sleep(1);
  }
  process.stdout.write('sent\n');
}
socket.close();
