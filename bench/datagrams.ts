/** UDP load as a program of its own: `echo ADDRESS` gives back what it is sent, `load ADDRESS PORT SECONDS WINDOW` counts answers. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const LOST_AFTER_MS = 200;

const [role, address, port, seconds, window] = process.argv.slice(2);
const socket = createSocket('udp4');
if (role === 'echo') {
  socket.on('message', (message, from) => socket.send(message, from.port, from.address));
  socket.bind(0, address);
  await once(socket, 'listening');
  process.stdout.write(`${socket.address().port}\n`);
} else {
  process.stdout.write(`${JSON.stringify(await measure(socket, Number(window)))}\n`);
  socket.close();
}

/** So many datagrams are on their way at any time. */
async function measure(from: Socket, inFlight: number) {
  const sentMs = new Map<number, number>();
  const times: number[] = [];
  let sequence = 0;
  let lost = 0;
  const send = () => {
    const payload = Buffer.alloc(64);
    payload.writeUInt32BE(++sequence);
    sentMs.set(sequence, performance.now());
    from.send(payload, Number(port), address);
  };
  from.on('message', answer => {
    const id = answer.readUInt32BE();
    const at = sentMs.get(id);
    if (at === undefined) return;
    sentMs.delete(id);
    times.push(performance.now() - at);
    send();
  });
  const startMs = performance.now();
  for (let i = 0; i < inFlight; i++) send();
  while (performance.now() - startMs < Number(seconds) * 1000) {
    await new Promise(done => setTimeout(done, 20));
    for (const [id, at] of sentMs) {
      if (performance.now() - at < LOST_AFTER_MS) continue;
      sentMs.delete(id);
      lost++;
      send();
    }
  }
  const elapsedMs = performance.now() - startMs;
  times.sort((a, b) => a - b);
  return {
    requests: times.length,
    perSecond: (times.length * 1000) / elapsedMs,
    medianMs: times[Math.floor(times.length / 2)] ?? 0,
    lost,
  };
}
