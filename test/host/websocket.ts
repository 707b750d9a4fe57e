/** The server's side of a WebSocket. Source: RFC 6455, 4.2.2 and 5.2. */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

/** Accepts the upgrade; what is sent after that is the caller's. */
export function acceptWebSocket({ headers }: IncomingMessage, socket: Duplex, more: string[] = []): void {
  const key = `${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash('sha1').update(key).digest('base64');
  const head = ['HTTP/1.1 101 Switching Protocols', 'connection: upgrade', 'upgrade: websocket', ...more];
  socket.write(`${[...head, `sec-websocket-accept: ${accept}`].join('\r\n')}\r\n\r\n`);
  socket.on('error', () => {});
}

/** Gives back each frame; the echo of a farewell is the farewell. */
export function echoWebSocket(request: IncomingMessage, socket: Duplex): void {
  acceptWebSocket(request, socket);
  let bytes = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    for (let frame = findFrame(bytes); frame; frame = findFrame(bytes)) {
      bytes = bytes.subarray(frame.end);
      socket.write(frame.echo);
      if (frame.closes) socket.end();
    }
  });
  socket.on('end', () => socket.end());
}

/** The first whole frame of a client, as a server sends it back: without its mask. */
function findFrame(bytes: Buffer): { echo: Buffer; end: number; closes: boolean } | undefined {
  if (bytes.length < 2) return undefined;
  const short = bytes[1]! & 0x7f;
  const lengthBytes = { 126: 2, 127: 8 }[short] ?? 0;
  const start = 2 + lengthBytes + 4;
  if (bytes.length < start) return undefined;
  const length = lengthBytes === 0 ? short : Number(BigInt(`0x${bytes.toString('hex', 2, 2 + lengthBytes)}`));
  if (bytes.length < start + length) return undefined;
  const mask = bytes.subarray(start - 4, start);
  const payload = bytes.subarray(start, start + length).map((byte, i) => byte ^ mask[i % 4]!);
  const head = Buffer.from(bytes.subarray(0, 2 + lengthBytes));
  head[1] = short;
  return { echo: Buffer.concat([head, payload]), end: start + length, closes: (head[0]! & 0x0f) === 8 };
}
