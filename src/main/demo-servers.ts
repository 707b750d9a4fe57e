/** The web servers of the demo: each in a network namespace of its own, with a port on the private network. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { BridgeNetwork } from '../drivers/network/bridge.ts';
import * as ip from '../lib/ip.ts';

const PROGRAM = fileURLToPath(new URL('./demo-web-server.ts', import.meta.url));
const START_LIMIT_MS = 10_000;
export const WEB_PORT = 8080;

export interface WebServer {
  name: string;
  address: string;
  stop(): Promise<void>;
}

/** Returns when it listens. The namespace's name bears the system id, so that a purge finds it as well. */
export async function startWebServer(
  name: string,
  options: { network: BridgeNetwork; networkId: string; systemId: string },
): Promise<WebServer> {
  const { network, networkId, systemId } = options;
  const namespace = `ottavia-${systemId}-${name}`;
  const port = await network.ensurePort({ name, network_id: networkId, project_id: null, fixed_ips: [] });
  await network.plugPort(port.id, namespace, { interfaceName: 'eth0', createNamespace: true });
  await network.configurePort(port, namespace, 'eth0');
  const args = ['netns', 'exec', namespace, process.execPath, PROGRAM, name, String(WEB_PORT)];
  const child = spawn('ip', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const stop = async () => {
    await end(child);
    await network.deletePort(name);
    await ip.runIpBatch([ip.deleteNamespace(namespace)]);
  };
  try {
    await Promise.race([
      once(child.stdout!, 'data', { signal: AbortSignal.timeout(START_LIMIT_MS) }),
      once(child, 'exit').then(() => Promise.reject(new Error('it ended at once'))),
    ]);
  } catch (cause) {
    await stop();
    throw new Error(`Cannot start web server ${name} in namespace ${namespace}`, { cause });
  }
  return { name, address: port.fixed_ips[0]!.ip_address, stop };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
