/** Members and clients in one namespace: opens and closes servers and asks others, as its standard input tells it line by line. */
import dgram from 'node:dgram';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { createInterface } from 'node:readline';
import tls from 'node:tls';
import { echoWebSocket } from '../websocket.ts';

/** By port: the server, its open connections, and the most requests that it served at once. */
const served = new Map();

function answer(name, port) {
  return (request, response) => {
    const entry = served.get(port);
    entry.busy++;
    entry.peak = Math.max(entry.peak, entry.busy);
    response.once('close', () => {
      entry.busy--;
    });
    response.setHeader('x-member', name);
    const [, kind, first, second] = request.url.split('/');
    if (kind === 'health') response.writeHead(entry.health).end();
    else if (kind === 'headers') {
      response.end(JSON.stringify({ headers: request.headers, from: request.socket.remoteAddress }));
    } else if (kind === 'held') entry.held.push(() => response.end(`${name} ${request.url}`));
    else if (kind === 'slow') setTimeout(() => response.end(`${name} ${request.url}`), Number(first));
    else if (kind === 'stream') void stream(response, Number(first), Number(second));
    else response.end(`${name} ${request.url}`);
  };
}

/** So many chunks of 1000 bytes, with so many milliseconds between two. */
async function stream(response, chunks, pauseMs) {
  for (let i = 0; i < chunks && !response.destroyed; i++) {
    response.write(String(i % 10).repeat(1000));
    await new Promise(done => setTimeout(done, pauseMs));
  }
  response.end();
}

/** Says its name to whoever connects and gives back what it is sent. */
function echo(name) {
  return socket => {
    socket.write(`${name}\n`);
    socket.on('data', chunk => socket.write(chunk));
    socket.on('end', () => socket.end());
  };
}

/** Answers one HTTP request with the PROXY header that came before it: version 1 as text, version 2 decoded. */
function proxied(name) {
  return socket => {
    let bytes = Buffer.alloc(0);
    socket.on('data', chunk => {
      bytes = Buffer.concat([bytes, chunk]);
      if (!bytes.includes('\r\n\r\n', 16)) return;
      const body = JSON.stringify({ name, ...readProxyHeader(bytes) });
      socket.end(`HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    });
  };
}

function readProxyHeader(bytes) {
  if (bytes.subarray(0, 6).toString() === 'PROXY ') {
    const [, family, source, , sourcePort] = bytes.toString().split('\r\n', 1)[0].split(' ');
    return { version: 1, family, source, sourcePort: Number(sourcePort) };
  }
  if (bytes.subarray(0, 12).toString('latin1') === '\r\n\r\n\0\r\nQUIT\n' && bytes[13] === 0x11) {
    const source = [...bytes.subarray(16, 20)].join('.');
    return { version: 2, family: 'TCP4', source, sourcePort: bytes.readUInt16BE(24) };
  }
  return { version: 0 };
}

/** Answers each datagram with its name, the datagram and where it came from. */
function answerDatagrams(name) {
  const socket = dgram.createSocket('udp6');
  socket.on('message', (message, from) => socket.send(`${name} ${message} ${from.address}`, from.port, from.address));
  socket.listen = (port, address, listening) => socket.bind(port, address, listening);
  return socket;
}

/** By flow: the socket that a client sends from. */
const flows = new Map();

async function openFlow(flow, host, port, from) {
  if (!flows.has(flow)) {
    const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4');
    // A refusal may come when nobody waits any more.
    socket.on('error', () => {});
    await new Promise(bound => socket.bind(0, from, bound));
    // Only a connected one is told that nobody listens.
    await new Promise(connected => socket.connect(port, host, connected));
    flows.set(flow, socket);
  }
  return flows.get(flow);
}

const MAKERS = {
  http: (name, port) => {
    const server = http.createServer(answer(name, port));
    // The balancer decides how long connections to members are kept.
    server.keepAliveTimeout = 60_000;
    server.on('upgrade', echoWebSocket);
    return server;
  },
  https: (name, port, pem) => https.createServer(pem, answer(name, port)),
  tcp: name => net.createServer(echo(name)),
  udp: name => answerDatagrams(name),
  proxy: name => net.createServer(proxied(name)),
};

/** By number: requests at a constant rate, whether or not those before were answered, each on a connection of its own. */
const loads = new Map();

function startLoad(url, everyMs, limitMs) {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/[[\]]/g, '');
  const load = { sent: 0, failed: 0, failures: {}, gapMs: 0, lastAt: performance.now(), open: new Set() };
  const send = () => {
    const path = `/r/${load.sent++}`;
    const end = reason => {
      clearTimeout(timer);
      socket.destroy();
      if (!load.open.delete(socket)) return;
      const now = performance.now();
      if (reason !== undefined) {
        load.failed++;
        load.failures[reason] = (load.failures[reason] ?? 0) + 1;
      } else {
        if (now - load.lastAt > load.gapMs) load.gapMs = now - load.lastAt;
        load.lastAt = now;
      }
    };
    let text = '';
    const socket = net.connect({ host, port: Number(port || 80), noDelay: true });
    load.open.add(socket);
    const timer = setTimeout(() => end(`no answer within ${limitMs} ms`), limitMs);
    socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
    socket.on('data', chunk => {
      text += chunk;
    });
    socket.on('error', error => end(error.code));
    socket.on('close', () => {
      const isRight = text.startsWith('HTTP/1.1 200 ') && text.endsWith(` ${path}`);
      end(isRight ? undefined : text.slice(9, 12) || 'closed');
    });
  };
  load.timer = setInterval(send, everyMs);
  return load;
}

/** The time that is passing without an answer counts too. */
const tell = ({ sent, failed, failures, gapMs, lastAt }) => {
  const openMs = performance.now() - lastAt;
  return { sent, failed, failures, gapMs: Math.max(gapMs, openMs), sinceAnswerMs: openMs };
};

const COMMANDS = {
  async load({ number, url, everyMs, limitMs }) {
    loads.set(number, startLoad(url, everyMs, limitMs));
  },
  async count({ number }) {
    return tell(loads.get(number));
  },
  /** Those that are under way are waited for, and counted. */
  async unload({ number }) {
    const load = loads.get(number);
    loads.delete(number);
    clearInterval(load.timer);
    const figures = tell(load);
    const closed = [...load.open].map(socket => new Promise(done => socket.once('close', done)));
    await Promise.all(closed);
    return { ...figures, failed: load.failed, failures: load.failures };
  },
  async open({ kind, name, port, pem }) {
    const server = MAKERS[kind](name, port, pem);
    const entry = { server, sockets: new Set(), held: [], busy: 0, peak: 0, health: 200 };
    server.on('connection', socket => {
      entry.sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => entry.sockets.delete(socket));
    });
    server.on('tlsClientError', () => {});
    served.set(port, entry);
    await new Promise((listening, failed) => {
      server.once('error', failed);
      server.listen(port, '::', listening);
    });
  },
  async close({ port }) {
    const { server, sockets } = served.get(port);
    served.delete(port);
    const closed = new Promise(done => server.close(done));
    for (const socket of sockets) socket.destroy();
    await closed;
  },
  async health({ port, status }) {
    served.get(port).health = status;
  },
  async release({ port }) {
    for (const answer of served.get(port).held.splice(0)) answer();
  },
  async peak({ port }) {
    return served.get(port).peak;
  },
  /** One request from the given address; `limitMs` is for each silence. */
  ask({ url, from, limitMs = 5000 }) {
    return new Promise((resolve, reject) => {
      const asked = http.get(url, { agent: false, localAddress: from, timeout: limitMs }, response => {
        let body = '';
        response.on('data', chunk => {
          body += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode, body }));
      });
      asked.on('timeout', () => asked.destroy(new Error('timeout')));
      asked.on('error', reject);
    });
  },
  /** One datagram from the given address, and its answer; each flow has its own port, which lives on. */
  async datagram({ host, port, from, flow, text, limitMs = 1000 }) {
    const socket = await openFlow(flow, host, port, from);
    return new Promise((resolve, reject) => {
      const settle = work => value => {
        clearTimeout(timer);
        socket.off('message', hear);
        socket.off('error', fail);
        work(value);
      };
      const fail = settle(reject);
      // An answer to an earlier one may be late.
      const hear = message => String(message).includes(` ${text} `) && settle(resolve)(String(message));
      const timer = setTimeout(
        settle(() => reject(new Error('no answer'))),
        limitMs,
      );
      socket.on('message', hear);
      socket.on('error', fail);
      socket.send(text);
    });
  },
  /** The names in the certificate of whoever ends TLS there. */
  certificate({ host, port }) {
    return new Promise((resolve, reject) => {
      const socket = tls.connect({ host, port, rejectUnauthorized: false, timeout: 20_000 }, () => {
        resolve(socket.getPeerCertificate().subject.CN);
        socket.destroy();
      });
      socket.on('timeout', () => socket.destroy(new Error('timeout')));
      socket.on('error', reject);
    });
  },
};

const lines = createInterface(process.stdin);
lines.on('line', async line => {
  const { id, command, ...options } = JSON.parse(line);
  const reply = await COMMANDS[command](options).then(
    result => ({ id, result }),
    error => ({ id, error: error.message }),
  );
  process.stdout.write(`${JSON.stringify(reply)}\n`);
});
// The pipe closes when the parent ends, however it ends: nothing is left behind.
lines.on('close', () => process.exit(0));
