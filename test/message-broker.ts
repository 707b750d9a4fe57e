/** A private RabbitMQ of the Debian package, for tests that lose it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.ts';

const BROKER = '/usr/lib/rabbitmq/bin/rabbitmq-server';
const LIMIT_MS = 120_000;

/** Why there is none here, or undefined when there is one. */
export function brokerObstacle(): string | undefined {
  if (!existsSync(BROKER)) return 'needs rabbitmq-server, which scripts/setup --tests installs';
  return process.getuid?.() === 0 ? undefined : 'not root, so the broker cannot have process ids of its own';
}

export interface MessageBroker extends AsyncDisposable {
  /** Such as `rabbit://guest:guest@127.0.0.1:5672/`. */
  readonly url: string;
  readonly port: number;
  /** Killed; all connections break. */
  halt(): Promise<void>;
  /** Back after a halt: what is durable is still there. */
  resume(): Promise<void>;
  /** Killed with all its queues' memory, and back after a while, when it takes connections again. */
  restart(afterMs: number): Promise<void>;
}

/** Returns when it takes connections. */
export async function startMessageBroker(): Promise<MessageBroker> {
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : '/tmp', 'ottavia-broker-'));
  const path = (name: string) => join(directory, name);
  const port = await freePort();
  const settings = {
    NODENAME: `ottavia${port}@localhost`,
    NODE_IP_ADDRESS: '127.0.0.1',
    NODE_PORT: String(port),
    DIST_PORT: String(await freePort()),
    MNESIA_BASE: path('mnesia'),
    LOG_BASE: path('log'),
    GENERATED_CONFIG_DIR: path('log'),
    CONFIG_FILE: path('settings'),
    ENABLED_PLUGINS_FILE: path('plugins'),
    PID_FILE: path('pid'),
    LOGS: '-',
    // It would keep both cores busy while it waits.
    SERVER_ADDITIONAL_ERL_ARGS: '+sbwt none +sbwtdcpu none +sbwtdio none +S 1:1',
  };
  const env = {
    ...{ PATH: process.env.PATH, HOME: directory, LANG: 'C.UTF-8', ERL_EPMD_ADDRESS: '127.0.0.1' },
    ...{ ERL_EPMD_PORT: String(await freePort()) },
    ...Object.fromEntries(Object.entries(settings).map(([name, value]) => [`RABBITMQ_${name}`, value])),
  };
  let child: ChildProcess;
  const start = async () => {
    // In process ids of its own, so that its helpers end with it.
    const arguments_ = ['--pid', '--fork', '--kill-child', '--mount-proc', BROKER];
    child = spawn('unshare', arguments_, { stdio: 'ignore', env });
    const deadline = Date.now() + LIMIT_MS;
    while (!(await listens(port))) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error('Cannot start RabbitMQ');
      await sleep(100);
    }
  };
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    // Its processes hold its directory until the kernel has ended the last of them.
    while (await listens(port)) await sleep(50);
  };
  const dispose = async () => {
    await end();
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  try {
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    url: `rabbit://guest:guest@127.0.0.1:${port}/`,
    port,
    halt: end,
    resume: start,
    async restart(afterMs) {
      await end();
      await sleep(afterMs);
      await start();
    },
    [Symbol.asyncDispose]: dispose,
  };
}

export function listens(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createConnection(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('connect', () => socket.end());
    // Closed follows, also when nothing came of it for so long.
    socket.on('error', () => {}).setTimeout(1000, () => socket.destroy());
    socket.once('close', () => resolve(false));
  });
}
