/** Runs inside fresh namespaces: starts the agent again and again and asks it until it answers; prints times as JSON. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMsOf } from './processes.ts';

export interface AgentStart {
  answeredMs: number;
  cpuMs: number;
  /** What Node.js takes to do nothing. */
  bareMs: number;
}

const LIMIT_MS = 10_000;
const [directory = '', program = '', runs = '1'] = process.argv.slice(2);

for (const command of [
  'mount -t tmpfs tmpfs /run',
  'mount -t tmpfs tmpfs /usr/local/bin',
  'ip link set lo up',
])
  execFileSync(command.split(' ')[0]!, command.split(' ').slice(1));
const read = (name: string) => readFileSync(`${directory}/${name}`);
const credentials = { cert: read('controller.pem'), key: read('controller.pem'), ca: read('server_ca.pem') };
const servername = /amphora_id = (\S+)/.exec(read('agent.conf').toString())![1]!;

const starts: AgentStart[] = [];
for (let i = 0; i < Number(runs); i++) starts.push({ ...(await startOnce()), bareMs: startBare() });
process.stdout.write(JSON.stringify(starts));

async function startOnce(): Promise<Omit<AgentStart, 'bareMs'>> {
  const startedMs = performance.now();
  const agent = spawn(process.execPath, [program, '--config-file', `${directory}/agent.conf`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(agent, 'exit');
  for (;;) {
    const status = await ask();
    if (status === 200) break;
    if (agent.exitCode !== null || performance.now() - startedMs > LIMIT_MS)
      throw new Error(`the agent does not answer: ${status}`);
    await sleep(2);
  }
  const answeredMs = performance.now() - startedMs;
  const cpuMs = cpuMsOf(agent.pid!);
  agent.kill('SIGKILL');
  await ended;
  return { answeredMs, cpuMs };
}

/** On a connection of its own; what it fails with is one of the answers. */
function ask(): Promise<number | string> {
  return new Promise(resolve => {
    const sent = request(
      {
        ...{ host: '127.0.0.1', port: 9443, path: '/', servername },
        agent: new Agent({ keepAlive: false, ...credentials }),
        timeout: 2000,
      },
      response => {
        response.resume().on('end', () => resolve(response.statusCode!));
      },
    );
    sent.on('error', error => resolve(error.message));
    sent.on('timeout', () => sent.destroy(new Error('timeout')));
    sent.end();
  });
}

function startBare(): number {
  const startedMs = performance.now();
  spawnSync(process.execPath, ['-e', '0']);
  return performance.now() - startedMs;
}
