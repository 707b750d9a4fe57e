/** From exec of the agent's bundle to its first answer over mutual TLS. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { LocalAuthority } from '../src/drivers/certificates/local.ts';
import { AGENT_PROGRAM } from '../src/main/standalone.ts';
import type { AgentStart } from './agent-start-inside.ts';
import type { Bench } from './bench-types.ts';
import { toFigure } from './figures.ts';

const AMPHORA = '3f0e6a52-58a7-4d0f-9d0e-1f7a5c1b2d3e';
const INSIDE = join(import.meta.dirname, 'agent-start-inside.ts');
const TIME_LIMIT_MS = 60_000;
const AIM_MS = 500;

export const agentStart: Bench = {
  name: 'agent-start',
  title: 'Agent: exec → first answer over mutual TLS',
  needsRoot: true,
  defaultRuns: 30,
  async run({ runs, signal, say }) {
    const directory = mkdtempSync(join(tmpdir(), 'ottavia-bench-'));
    try {
      await writeFiles(directory);
      // Namespaces of its own, so that the port, /run and /usr/local/bin are its own as in an amphora; they go with it.
      const child = spawn(
        'unshare',
        [
          ...['--mount', '--net', '--uts', '--pid', '--fork', '--mount-proc', '--kill-child'],
          ...[
            '--propagation',
            'private',
            process.execPath,
            INSIDE,
            directory,
            AGENT_PROGRAM,
            String(runs + 1),
          ],
        ],
        {
          stdio: ['ignore', 'pipe', 'pipe'],
          signal: AbortSignal.any([signal, AbortSignal.timeout(TIME_LIMIT_MS)]),
        },
      );
      const [output, complaints, [code]] = await Promise.all([
        text(child.stdout),
        text(child.stderr),
        once(child, 'exit'),
      ]);
      if (code !== 0) throw new Error(`The agent could not be measured: ${complaints}`);
      // The first one reads the program from the disk.
      const [, ...starts] = JSON.parse(output) as AgentStart[];
      say(`${runs} starts measured`);
      return {
        tables: [
          {
            title: 'Since exec',
            figures: [
              toFigure(
                'first answer',
                'ms',
                starts.map(start => start.answeredMs),
                { aim: AIM_MS },
              ),
              toFigure(
                'processor time of the agent until then',
                'ms',
                starts.map(start => start.cpuMs),
              ),
              toFigure(
                'beside it: `node -e 0`, exec to end',
                'ms',
                starts.map(start => start.bareMs),
              ),
            ],
          },
        ],
      };
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

async function writeFiles(directory: string): Promise<void> {
  const authority = new LocalAuthority({ directory: join(directory, 'ca') });
  const { pem } = await authority.issueAgentCertificate(AMPHORA);
  const { certificate, key, serverCa } = await authority.controllerCredentials();
  mkdirSync(join(directory, 'base'));
  const files: Record<string, string> = {
    'server.pem': pem.reveal(),
    'client_ca.pem': await authority.clientCa(),
    'controller.pem': certificate + key.reveal(),
    'server_ca.pem': serverCa,
    'agent.conf': `[amphora_agent]
amphora_id = ${AMPHORA}
agent_server_cert = ${directory}/server.pem
agent_server_ca = ${directory}/client_ca.pem
agent_server_network_dir = ${directory}/interfaces
[haproxy_amphora]
base_path = ${directory}/base
[health_manager]
heartbeat_key = none
`,
  };
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(directory, name), content, { mode: 0o600 });
}
