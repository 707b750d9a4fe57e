/** Load on one URL with as many connections as a busy client has, beside a bare node:http server that sends the same bytes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { request } from 'undici';
import { type CommandError, run } from '../src/lib/command.ts';
import { type Context, nowMs } from './bench-types.ts';
import { toFigure } from './figures.ts';

export const ROUND_S = 3;
export const CONNECTIONS = 16;

export interface Load {
  requests: number;
  perSecond: number;
  medianMs: number;
}

export type Headers = Record<string, string>;

export async function findTool(): Promise<'wrk' | 'a loop of our own'> {
  try {
    await run('sh', ['-c', 'command -v wrk']);
    return 'wrk';
  } catch {
    // Nothing needs it but this.
    return 'a loop of our own';
  }
}

export function load(tool: string, context: Context, url: string, headers: Headers): Promise<Load> {
  return tool === 'wrk' ? loadWithWrk(context, url, headers) : loadOurselves(context, url, headers);
}

export async function loadWithWrk(
  { signal }: Pick<Context, 'signal'>,
  url: string,
  headers: Headers,
  connections = CONNECTIONS,
  /** The words of a command that wrk is run by. */
  within: readonly string[] = [],
): Promise<Load> {
  const named = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const options = ['-t1', `-c${connections}`, `-d${ROUND_S}s`, '--latency'];
  const [command, ...args] = [...within, 'wrk', ...options, ...named, url];
  const { stdout } = await run(command!, args, { signal }).catch(error => {
    // Its command line holds the token.
    throw new Error(`wrk failed: ${(error as CommandError).stderr}`);
  });
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`Some requests failed: ${stdout}`);
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
      if (reply.statusCode !== 200) throw new Error(`A request failed with ${reply.statusCode}`);
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

export async function startBareServer(bytes: string): Promise<{ url: string } & AsyncDisposable> {
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
