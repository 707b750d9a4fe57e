import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, get, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLog } from '../../lib/log.ts';
import { decodeAgentConfig, haproxyFiles, type Paths } from '../config.ts';
import { parsePrometheusText } from './prometheus-text.fixture.ts';
import { metricsSections, serveMetrics } from './proxy.ts';

const LB = '2774ffa1-e008-4a52-a24b-05bcb93cb1a1';

let base: string;
let paths: Paths;
let proxy: Server;
let exporter: Server | undefined;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'metrics-'));
  const text = `[amphora_agent]\namphora_id = a\n[haproxy_amphora]\nbase_path = ${base}\n`;
  paths = decodeAgentConfig(text, 'none').paths;
  mkdirSync(join(base, LB));
  writeFileSync(haproxyFiles(paths, LB).config, 'global\n');
});
afterEach(() => {
  proxy?.close();
  exporter?.close();
  rmSync(base, { recursive: true });
});

/** Stands where haproxy's own exporter would. */
async function openExporter(status: number, body: string): Promise<void> {
  exporter = createServer((_, response) => response.writeHead(status).end(body));
  exporter.listen(haproxyFiles(paths, LB).exporterSocket);
  await once(exporter, 'listening');
}

async function ask(path: string) {
  proxy = serveMetrics(paths, silentLog);
  await once(proxy, 'listening');
  const asked = get({ socketPath: paths.metricsSocket, path, agent: false, timeout: 5000 });
  const [response] = await once(asked, 'response');
  const chunks: Buffer[] = await response.toArray();
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() };
}

test('the metrics of haproxy come after those of the machine, as Prometheus takes them', async () => {
  await openExporter(200, '# TYPE haproxy_process_listeners gauge\nhaproxy_process_listeners 3\nother 1\n');
  const { status, headers, body } = await ask(`/${LB}`);
  expect(status).toBe(200);
  expect(headers).toMatchObject({ 'content-type': 'text/plain; version=0.0.4', 'cache-control': 'no-cache' });
  const samples = parsePrometheusText(body);
  const names = ['octavia_loadbalancer_cpu', 'octavia_loadbalancer_memory', 'octavia_loadbalancer_listeners'];
  expect(samples.map(({ name }) => name)).toEqual(names);
  expect(samples[1]!.value).toBeGreaterThan(0);
  expect(samples[1]!.value).toBeLessThan(100);
});

test('a haproxy that refuses or is not there is a 502, and so is a load balancer that is not', async () => {
  expect((await ask(`/${LB}`)).status).toBe(502);
  proxy.close();
  await openExporter(503, '');
  expect((await ask(`/${LB}`)).status).toBe(502);
  proxy.close();
  expect((await ask(`/..%2f${LB}`)).status).toBe(502);
});

test('a socket that a killed agent left is replaced, and haproxy, which is nobody, may use it', async () => {
  writeFileSync(paths.metricsSocket, '');
  chmodSync(paths.metricsSocket, 0o600);
  await ask('/');
  expect(statSync(paths.metricsSocket).mode & 0o777).toBe(0o666);
});

test('haproxy gets nothing more to do while no listener asks for metrics', async () => {
  expect(await metricsSections(paths, LB)).toBe('');
  expect(await metricsSections(paths, 'unknown')).toBe('');
});
