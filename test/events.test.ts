/** Who wants to be told what becomes of load balancers: by webhook, and by `ottavia lb why --follow`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { silentLog } from '../src/lib/log.ts';
import { startStandalone } from '../src/main/standalone.ts';
import type { StatusEvent } from '../src/model/status-event.ts';
import { type Cli, Sink, startCli } from './cli.fixture.ts';

const LIMIT_MS = 30_000;

const received: StatusEvent[] = [];
const receiver = createServer(async (request, reply) => {
  let body = '';
  for await (const piece of request) body += piece;
  received.push(JSON.parse(body));
  reply.writeHead(204).end();
});
const directory = mkdtempSync(join(tmpdir(), 'ottavia-events-'));
let cli: Cli;

function configFile(lines: string): string[] {
  const file = join(directory, 'ottavia.conf');
  writeFileSync(file, `[ottavia]\n${lines}\n`);
  return [file];
}

beforeAll(async () => {
  await new Promise<void>(resolve => receiver.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  cli = await startCli({ configFile: configFile(`webhook_urls = ${url}/a\nwebhook_secret = s`) });
});
afterAll(async () => {
  await cli.stop();
  receiver.closeAllConnections();
  receiver.close();
  rmSync(directory, { recursive: true });
});

test('from the request to the end, both tell of each change', async () => {
  await cli.ottavia('lb create --name web --vip-subnet-id private-subnet --wait');
  const shown = new Sink();
  const following = cli.ottavia('lb why web --follow', {}, shown);
  await vi.waitFor(() => expect(shown.text).toContain('web is ACTIVE'), LIMIT_MS);
  await cli.ottavia('listener create web --name l --protocol HTTP --protocol-port 80 --wait');
  await cli.ottavia('lb delete web --cascade --wait');
  const { out, err } = await following;
  expect(err).toBe('The load balancer is gone\n');
  expect(out).toMatch(/web is ACTIVE: all that was asked for is in effect since /);
  expect(out).toMatch(/ {2}change \d+ {2}removed after /);
  expect(out).toMatch(/web is DELETED: it is gone since [^\n]*\n$/);
  // The load balancer's own comes last.
  const last = { resource_type: 'loadbalancer', provisioning_status: 'DELETED' };
  await vi.waitFor(() => expect(received.at(-1)).toMatchObject(last), LIMIT_MS);
  const told = (type: StatusEvent['resource_type']) =>
    received.filter(event => event.resource_type === type).map(event => event.provisioning_status);
  expect(told('loadbalancer')).toEqual([
    ...['PENDING_CREATE', 'ACTIVE', 'PENDING_UPDATE', 'ACTIVE', 'PENDING_DELETE', 'DELETED'],
  ]);
  expect(told('listener')).toEqual(['PENDING_CREATE', 'ACTIVE', 'DELETED']);
});

test('webhooks that cannot work are told at the start, without their URLs', async () => {
  const start = (lines: string) =>
    startStandalone(
      {
        dataDir: join(directory, 'none'),
        listen: '127.0.0.1:0',
        drivers: 'noop',
        configFile: configFile(lines),
      },
      silentLog,
    );
  await expect(start('webhook_urls = http://a/hidden')).rejects.toThrow(
    'Cannot sign events: set webhook_secret',
  );
  const wrong = start('webhook_secret = s\nwebhook_urls = https://a/, ftp://b/hidden, hidden');
  await expect(wrong).rejects.toThrow(
    /^Cannot use webhook_urls: number 2, number 3 must begin with http:\/\/ or https:\/\/$/,
  );
});
