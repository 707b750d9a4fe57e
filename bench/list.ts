/** Lists of 100 load balancers under load, beside a bare node:http server that sends the same bytes in the same run. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { request } from 'undici';
import { type CommandError, run } from '../src/lib/command.ts';
import { type Bench, type Context, nowMs } from './bench-types.ts';
import { Samples, toFigure } from './figures.ts';
import { startSystem } from './system.ts';

const ROWS = 100;
const ROUND_S = 4;
const CONNECTIONS = 16;

export const list: Bench = {
  name: 'list',
  title: `List of ${ROWS} load balancers`,
  needsRoot: false,
  defaultRuns: 5,
  async run(context) {
    await using system = await startSystem(context, 'noop');
    const { api } = system;
    for (let i = 0; i < ROWS; i++) {
      const body = { name: `bench-${i}`, description: 'one of a hundred', vip_subnet_id: system.subnet.id };
      const lb = await api.create('loadbalancers', 'loadbalancer', body);
      if (i === ROWS - 1) await api.whenActive(lb.id, 20);
    }
    const url = `${api.url}/v2/lbaas/loadbalancers`;
    const headers = { 'x-auth-token': api.token };
    const bytes = await (await request(url, { headers, signal: context.signal })).body.text();
    const rows = (JSON.parse(bytes) as { loadbalancers: unknown[] }).loadbalancers.length;
    if (rows !== ROWS) throw new Error(`The list has ${rows} rows instead of ${ROWS}`);
    await using bare = await startBareServer(bytes);
    const tool = await findTool();
    const rates = new Samples();
    const times = new Samples();
    const ratios: number[] = [];
    for (let round = 0; round < context.runs; round++) {
      const cpuBefore = system.cpuMs();
      const ours = await load(tool, context, url, headers);
      times.add('processor time of Ottavia for one list', (system.cpuMs() - cpuBefore) / ours.requests);
      const theirs = await load(tool, context, bare.url, headers);
      rates.add('Ottavia', ours.perSecond);
      rates.add('bare node:http, same bytes', theirs.perSecond);
      times.add('Ottavia, median of the round', ours.medianMs);
      times.add('bare node:http, median of the round', theirs.medianMs);
      ratios.push(ours.perSecond / theirs.perSecond);
      context.say(
        `round ${round + 1} of ${context.runs}: ${Math.round(ours.perSecond)} against ${Math.round(theirs.perSecond)} lists per second`,
      );
    }
    return {
      tables: [
        {
          title: `${CONNECTIONS} connections, rounds of ${ROUND_S} s with ${tool}, Ottavia and the bare server in turn`,
          note: `Each list is ${bytes.length} bytes; one request is one list, with its token checked.`,
          figures: [
            ...rates.figures('requests/s').map(figure => ({ ...figure, more_is_better: true as const })),
            toFigure('share of the bare server’s rate', 'x', ratios, { more_is_better: true }),
            ...times.figures('ms'),
          ],
        },
      ],
    };
  },
};

interface Load {
  requests: number;
  perSecond: number;
  medianMs: number;
}

type Headers = Record<string, string>;

async function findTool(): Promise<'wrk' | 'a loop of our own'> {
  try {
    await run('sh', ['-c', 'command -v wrk']);
    return 'wrk';
  } catch {
    // Nothing needs it but this.
    return 'a loop of our own';
  }
}

function load(tool: string, context: Context, url: string, headers: Headers): Promise<Load> {
  return tool === 'wrk' ? loadWithWrk(context, url, headers) : loadOurselves(context, url, headers);
}

async function loadWithWrk({ signal }: Context, url: string, headers: Headers): Promise<Load> {
  const named = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const options = ['-t1', `-c${CONNECTIONS}`, `-d${ROUND_S}s`, '--latency'];
  const { stdout } = await run('wrk', [...options, ...named, url], { signal }).catch(error => {
    // Its command line holds the token.
    throw new Error(`wrk failed: ${(error as CommandError).stderr}`);
  });
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`Some lists failed: ${stdout}`);
  const [, median, unit] = /50%\s+([\d.]+)(us|ms|s)/.exec(stdout)!;
  const factor = { us: 0.001, ms: 1, s: 1000 }[unit as 'us' | 'ms' | 's'];
  return {
    requests: Number(/(\d+) requests in/.exec(stdout)![1]),
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)![1]),
    medianMs: Number(median) * factor,
  };
}

async function loadOurselves({ signal }: Context, url: string, headers: Headers): Promise<Load> {
  const startMs = nowMs();
  const times: number[] = [];
  const clients = Array.from({ length: CONNECTIONS }, async () => {
    while (nowMs() - startMs < ROUND_S * 1000) {
      const sentMs = nowMs();
      const reply = await request(url, { headers, signal });
      await reply.body.dump({ limit: Number.POSITIVE_INFINITY });
      if (reply.statusCode !== 200) throw new Error(`A list failed with ${reply.statusCode}`);
      times.push(nowMs() - sentMs);
    }
  });
  await Promise.all(clients);
  return {
    requests: times.length,
    perSecond: (times.length * 1000) / (nowMs() - startMs),
    medianMs: toFigure('', 'ms', times).p50,
  };
}

async function startBareServer(bytes: string): Promise<{ url: string } & AsyncDisposable> {
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, 'bare-server.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin!.end(bytes);
  const [url] = await once(child.stdout!.setEncoding('utf8'), 'data', {
    signal: AbortSignal.timeout(10_000),
  });
  return {
    url: (url as string).trim(),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}
