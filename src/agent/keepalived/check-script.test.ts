import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { countSilentSockets, renderHaproxyCheck } from './check-script.ts';

test.each([
  [['/a.sock', '/b.sock'], false, 'haproxy-vrrp-check /a.sock /b.sock; exit $?\n'],
  [[], false, 'exit 1\n'],
  [[], true, undefined],
])('the check of haproxy for %j, UDP %j', (sockets, servesUdp, text) => {
  expect(renderHaproxyCheck(sockets, servesUdp)).toBe(text);
});

test('sockets that show nothing are counted, and one that is not there', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'check-'));
  const answer = (text: string) => createServer(socket => socket.on('data', () => socket.end(text)));
  const servers = { [join(directory, 'good')]: answer('rows\n'), [join(directory, 'mute')]: answer('\n') };
  try {
    for (const [path, server] of Object.entries(servers))
      await new Promise<void>(up => server.listen(path, up));
    const [good, mute] = Object.keys(servers) as [string, string];
    expect(await countSilentSockets([good])).toBe(0);
    expect(await countSilentSockets([good, mute, mute])).toBe(2);
    expect(await countSilentSockets([good, join(directory, 'absent')])).toBe(1);
  } finally {
    for (const server of Object.values(servers)) server.close();
    rmSync(directory, { recursive: true });
  }
});
