/**
 * What answers at 127.0.0.1:9102 of the inner namespace for PROMETHEUS listeners: the agent, without being there. haproxy, which is,
 * hands the requests to a socket of the agent and gives it the metrics over another, so that this costs no process. Source: contract
 * dataplane.md 3.
 */
import { mkdirSync } from 'node:fs';
import { createServer, get, type Server, type ServerResponse } from 'node:http';
import { availableParallelism } from 'node:os';
import { run } from '../../lib/command.ts';
import { errorChain } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { haproxyFiles, type Paths } from '../config.ts';
import { listLoadBalancers } from '../facts.ts';
import { findText, removeFile } from '../files.ts';
import { INNER_NAMESPACE } from '../network/namespace.ts';
import { renameMetrics } from './rename.ts';

/** Shorter than the 5 s after which the controller's configuration gives the answer up. */
const EXPORTER_TIMEOUT_MS = 4_000;
const LOOK_TIMEOUT_MS = 10_000;

/**
 * Sections for haproxy's second configuration file; empty when the first one asks nothing of port 9102, or when another program serves
 * it, as in the original's images. One request reaches the agent at a time, because heartbeats must not wait for whoever
 * scrapes without a pause.
 */
export async function metricsSections(paths: Paths, loadBalancerId: string): Promise<string> {
  const files = haproxyFiles(paths, loadBalancerId);
  const isAskedFor = /^\s+server\s+\S+\s+127\.0\.0\.1:9102\s*$/m.test(findText(files.config) ?? '');
  if (!isAskedFor || (await isServedByAnother())) return '';
  return `
listen prometheus-exporter-proxy
    bind 127.0.0.1:9102
    mode http
    no log
    option httpclose
    http-request deny deny_status 405 unless METH_GET
    http-request set-uri /${loadBalancerId}
    timeout client 5s
    timeout connect 5s
    timeout server 5s
    server agent unix@${paths.metricsSocket} maxconn 1

frontend prometheus-exporter-of-agent
    bind unix@${files.exporterSocket} mode 600
    mode http
    no log
    http-request use-service prometheus-exporter
    timeout client 5s
`;
}

async function isServedByAnother(): Promise<boolean> {
  const look = ['netns', 'exec', INNER_NAMESPACE, 'ss', '-Hltnp', 'sport = :9102'];
  const { stdout } = await run('ip', look, { timeoutMs: LOOK_TIMEOUT_MS });
  return stdout.trim() !== '' && !stdout.includes('"haproxy"');
}

/** Answers haproxy's requests, whose path is the id of a load balancer; an answer that cannot be had is a 502. */
export function serveMetrics(paths: Paths, log: Log): Server {
  const server = createServer((request, response) => {
    void answer(paths, request.url!.slice(1), response).catch(error => {
      log.warn({ reason: errorChain(error) }, 'cannot tell metrics');
      response.writeHead(502).end();
    });
  });
  server.on('error', error => log.error({ reason: errorChain(error) }, 'cannot serve metrics'));
  mkdirSync(paths.base, { recursive: true });
  // One that was killed leaves it.
  removeFile(paths.metricsSocket);
  server.listen({ path: paths.metricsSocket, readableAll: true, writableAll: true });
  return server;
}

async function answer(paths: Paths, loadBalancerId: string, response: ServerResponse): Promise<void> {
  if (!listLoadBalancers(paths).includes(loadBalancerId)) {
    throw new Error(`There is no load balancer ${loadBalancerId}`);
  }
  const metrics = await readExporter(haproxyFiles(paths, loadBalancerId).exporterSocket);
  const headers = { 'content-type': 'text/plain; version=0.0.4', 'cache-control': 'no-cache' };
  response.writeHead(200, headers).end(machineMetrics() + renameMetrics(metrics));
}

function readExporter(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(EXPORTER_TIMEOUT_MS);
    const asked = get({ socketPath, path: '/metrics', agent: false, signal }, response => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString('utf8'));
        else reject(new Error(`The exporter of haproxy answers with ${response.statusCode}`));
      });
    });
    asked.on('error', cause => reject(new Error(`Cannot read the metrics at ${socketPath}`, { cause })));
  });
}

function machineMetrics(): string {
  const load = Number((findText('/proc/loadavg') ?? '').split(' ')[0]);
  const memory = findText('/proc/meminfo') ?? '';
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(memory)?.[1]);
  return [
    ['cpu', 'CPU', (load / availableParallelism()) * 100] as const,
    ['memory', 'memory', (1 - kilobytes('MemAvailable') / kilobytes('MemTotal')) * 100] as const,
  ]
    .map(([name, what, percent]) => {
      const metric = `octavia_loadbalancer_${name}`;
      const head = `# HELP ${metric} Load balancer ${what} utilization (percentage).\n# TYPE ${metric} gauge\n`;
      return `${head}${metric} ${percent.toFixed(1)}\n`;
    })
    .join('');
}
