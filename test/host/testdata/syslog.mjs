/** Syslog servers: opens and closes UDP and TCP ports as its standard input says, and prints what comes, a JSON value for each line. */
import dgram from 'node:dgram';
import net from 'node:net';
import { createInterface } from 'node:readline';

const say = value => process.stdout.write(`${JSON.stringify(value)}\n`);
/** By port: what ends the server. */
const closers = new Map();

const OPENERS = {
  udp(address, port) {
    const socket = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.on('message', message => say({ port, text: String(message) }));
    closers.set(port, done => socket.close(done));
    socket.bind(port, address, () => say({ opened: port }));
  },
  tcp(address, port) {
    const sockets = new Set();
    const server = net.createServer(socket => {
      sockets.add(socket);
      socket.on('error', () => {});
      createInterface(socket).on('line', text => say({ port, text }));
    });
    closers.set(port, done => {
      server.close(done);
      for (const socket of sockets) socket.destroy();
    });
    server.listen(port, address, () => say({ opened: port }));
  },
};

const commands = createInterface(process.stdin);
commands.on('line', line => {
  const { open, address, port } = JSON.parse(line);
  if (open) OPENERS[open](address, port);
  else closers.get(port)(() => say({ closed: port }));
});
// The pipe closes when the parent ends, however it ends: nothing is left behind.
commands.on('close', () => process.exit(0));
