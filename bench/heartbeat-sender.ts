/** Heartbeats of a whole cloud as a program of its own: `PORT` and the ids on its standard input; sends some 25 000 a second until it is ended. */
import { createSocket } from 'node:dgram';
import { text } from 'node:stream/consumers';
import { Secret } from '../src/lib/secret.ts';
import { encodeHeartbeat } from '../src/wire/heartbeat-codec.ts';
import { type HeartbeatCloud, heartbeatOf } from './heartbeat-cloud.ts';

const port = Number(process.argv[2]);
const { key, load_balancers } = JSON.parse(await text(process.stdin)) as HeartbeatCloud;
const packets = load_balancers.map(lb => encodeHeartbeat(heartbeatOf(lb), new Secret(key)));
const socket = createSocket('udp4');
const AT_ONCE = 40;
let next = 0;
process.stdout.write('ready\n');
const send = (): void => {
  let open = AT_ONCE;
  for (let i = 0; i < AT_ONCE; i++)
    // A full buffer drops what it is given, as a network would.
    socket.send(packets[next++ % packets.length]!, port, '127.0.0.1', () => {
      if (--open === 0) setTimeout(send, 1);
    });
};
send();
