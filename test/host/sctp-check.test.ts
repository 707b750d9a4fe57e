/** How SCTP members are checked, which needs no SCTP in the kernel. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SCTP_CHECK } from '../../src/agent/lvs/programs.ts';
import { titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

const RESPONDER = join(import.meta.dirname, 'testdata/sctp-responder.pl');
const PORT = 7000 + (process.pid % 20_000);

describe.skipIf(trafficObstacle)(titled('the check of an SCTP member [healthmonitor.type=SCTP]'), () => {
  let directory: string;
  let program: string;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'sctp-'));
    program = join(directory, 'amphora-health-checker');
    writeFileSync(program, SCTP_CHECK, { mode: 0o755 });
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const check = (address: string, port: number, seconds: number) =>
    spawnSync(program, ['sctp', '-t', String(seconds), address, String(port)], { timeout: 20_000 }).status;

  const INIT_ACK = 2;
  const ABORT = 6;
  const SHUTDOWN = 7;
  test.each([
    ['IPv4', '127.0.0.1', INIT_ACK, 0],
    ['IPv6', '::1', INIT_ACK, 0],
    ['IPv4', '127.0.0.1', ABORT, 1],
    ['IPv4', '127.0.0.1', SHUTDOWN, 3],
  ])(
    'over %s at %s, answered with chunk %i, ends with %i [IPv4, IPv6]',
    async (_family, address, type, status) => {
      const responder = spawn('perl', [RESPONDER, address, String(PORT), String(type)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      try {
        const heard: string[] = [];
        const lines = createInterface(responder.stdout);
        await once(lines, 'line');
        lines.on('line', line => heard.push(line));
        expect(check(address, PORT, 10)).toBe(status);
        // Nobody answers there.
        expect(check(address, PORT + 1, 1)).toBe(2);
        // An INIT, and an end to the association that it began.
        const expected = type === ABORT ? ['1'] : ['1', '6'];
        await until(
          'the responder to hear of it',
          () => heard.length >= expected.length,
          () => heard,
        );
        responder.kill();
        await once(lines, 'close');
        expect(heard.slice(0, 2)).toEqual(expected);
      } finally {
        responder.kill('SIGKILL');
      }
    },
  );
});
