/** A standalone system in a process of its own, as `npm start` runs it, on a temporary data directory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { silentLog } from '../src/lib/log.ts';
import { listLeftovers } from '../src/main/purge.ts';
import { purgeDirectory } from '../src/main/standalone.ts';
import type { TraceStep } from '../src/providers/trace.ts';
import { Api, type Json } from './api.ts';
import type { Context } from './bench-types.ts';
import { ROOT } from './machine.ts';
import { cpuMsOf } from './processes.ts';

const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 20_000;

/** One pass of the reconciler, as the `pass` table has it. */
export interface RecordedPass {
  generation: number;
  started_at_ms: number;
  duration_ms: number;
  outcome: string;
  steps: TraceStep[];
}

export interface BenchSystem extends AsyncDisposable {
  api: Api;
  dataDir: string;
  systemId: string;
  controllerPid: number;
  /** Where VIPs and members live. */
  subnet: Json & { cidr: string; gateway_ip: string };
  /** In order of time. */
  passesOf(loadBalancerId: string): RecordedPass[];
  /** Processor time that the controller has used so far. */
  cpuMs(): number;
}

/** `settings` are variables such as `OS_API_SETTINGS__BIND_PORT`. Disposing it stops the system, removes all it made and throws when something of it is left. */
export async function startSystem(
  context: Context,
  drivers?: 'noop',
  settings: NodeJS.ProcessEnv = {},
): Promise<BenchSystem> {
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-bench-'));
  await using made = new AsyncDisposableStack();
  made.defer(() => rmSync(directory, { recursive: true, force: true }));
  const dataDir = join(directory, 'var');
  const profile = context.profileDirectory;
  const child = spawn(
    process.execPath,
    [
      ...(profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}`] : []),
      ...[join(ROOT, 'src/main/ottavia.ts'), 'standalone', '--data-dir', dataDir, '--listen', '127.0.0.1:0'],
      ...(drivers ? ['--drivers', drivers] : []),
    ],
    // A group of its own: Ctrl-C reaches us alone, and we stop it in order.
    { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: { ...process.env, ...settings } },
  );
  made.defer(async () => {
    await stop(child);
    await purgeDirectory({ dataDir, drivers }, silentLog);
  });
  const url = await awaitUrl(child, context.signal);
  const systemId = readFileSync(join(dataDir, 'system-id'), 'utf8').trim();
  const api = await Api.open(url, dataDir, context.signal);
  made.defer(() => api.close());
  const subnets = (await api.send(
    'GET',
    'network/v2.0/subnets?name=private-subnet',
  )) as BenchSystem['subnet'][];
  const stack = made.move();
  return {
    api,
    dataDir,
    systemId,
    controllerPid: child.pid!,
    subnet: subnets[0]!,
    passesOf: id => readPasses(join(dataDir, 'ottavia.db'), id),
    cpuMs: () => cpuMsOf(child.pid!),
    async [Symbol.asyncDispose]() {
      await stack.disposeAsync();
      const left = listLeftovers(systemId);
      if (left.length > 0) throw new Error(`The system left behind: ${left.join(', ')}`);
    },
  };
}

function readPasses(file: string, loadBalancerId: string): RecordedPass[] {
  const db = new DatabaseSync(file, { readOnly: true, timeout: 5000 });
  const rows = db
    .prepare(
      'select generation, started_at_ms, duration_ms, outcome, steps from pass where loadbalancer_id = ? order by started_at_ms, generation',
    )
    .all(loadBalancerId);
  db.close();
  return rows.map(row => ({
    ...(row as unknown as RecordedPass),
    steps: JSON.parse(row.steps as string) as TraceStep[],
  }));
}

async function awaitUrl(child: ChildProcess, signal: AbortSignal): Promise<string> {
  let printed = '';
  let complaints = '';
  child.stderr!.setEncoding('utf8').on('data', text => {
    complaints = `${complaints}${text}`.slice(-4000);
  });
  child.stdout!.setEncoding('utf8');
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`The system ended with ${code} at its start: ${complaints}`);
  });
  // It ends in any case, long after the start as well.
  ended.catch(() => undefined);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(START_LIMIT_MS)]);
  for (;;) {
    const [text] = await Promise.race([once(child.stdout!, 'data', { signal: limit }), ended]);
    printed += text;
    const url = /listens on (http\S+);/.exec(printed)?.[1];
    if (url !== undefined) {
      child.stdout!.resume();
      return url;
    }
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await exited;
  clearTimeout(timer);
}
