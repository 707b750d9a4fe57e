import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type CommandError, run } from '../../lib/command.ts';
import { countSilentSockets, renderCheckProgram, renderHaproxyCheck } from './check-script.ts';

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
    const program = join(directory, 'check');
    writeFileSync(program, renderCheckProgram('echo node'), { mode: 0o755 });
    const runProgram = (sockets: string[]) =>
      run(program, sockets).then(
        ({ stdout }) => (stdout === '' ? 0 : stdout),
        error => (error as CommandError).exitCode,
      );
    for (const count of [countSilentSockets, runProgram]) {
      expect(await count([good])).toBe(0);
      expect(await count([good, mute, mute])).toBe(2);
      expect(await count([good, join(directory, 'absent')])).toBe(1);
    }
    // Without Perl it is the agent's program, which stands here for itself.
    writeFileSync(join(directory, 'node'), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
    writeFileSync(program, renderCheckProgram(`${directory}/node agent.mjs`));
    const { stdout } = await run('/bin/sh', [program, good], { env: { PATH: '/nowhere' } });
    expect(stdout).toBe(`agent.mjs vrrp-check ${good}\n`);
  } finally {
    for (const server of Object.values(servers)) server.close();
    rmSync(directory, { recursive: true });
  }
});
