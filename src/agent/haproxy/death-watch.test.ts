import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DeathWatch } from './death-watch.ts';

let directory: string;
let server: Server;
let path: string;
const clients: Socket[] = [];
let arrived: () => void;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'death-watch-'));
  path = join(directory, 'master.sock');
  server = createServer(client => {
    clients.push(client);
    arrived();
  });
  await new Promise<void>(listening => server.listen(path, listening));
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await new Promise(closed => server.close(closed));
  rmSync(directory, { recursive: true });
});

const arrival = () =>
  new Promise<void>(done => {
    arrived = done;
  });

test('an end is told once, and a socket that is back is watched again', async () => {
  let ended = () => {};
  let ends = 0;
  const watch = new DeathWatch(() => {
    ends++;
    ended();
  });
  for (const round of [1, 2]) {
    const connected = arrival();
    watch.watch([path, join(directory, 'absent.sock')]);
    await connected;
    // Watched already: no further connection.
    watch.watch([path]);
    const end = new Promise<void>(done => {
      ended = done;
    });
    clients.at(-1)!.destroy();
    await end;
    expect(ends).toBe(round);
  }
  expect(clients).toHaveLength(2);
  const connected = arrival();
  watch.watch([path]);
  await connected;
  const gone = new Promise(done => clients.at(-1)!.on('close', done).resume());
  watch.close();
  await gone;
  expect(ends).toBe(2);
});
