/** A TCP port of this machine for a server that a test starts. */
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below those that the kernel gives to whoever names none: nobody gets it before the server listens, or while it is restarted. */
const FIRST = 20_000;
const COUNT = 10_000;
let turn = Math.floor(Math.random() * COUNT);

/** One that nobody listens on now; each time another one. */
export async function freePort(): Promise<number> {
  const port = FIRST + (turn++ % COUNT);
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return freePort();
    throw error;
  }
  server.close();
  await once(server, 'close');
  return port;
}
