/** Entry point of the agent: `agent.mjs --config-file FILE`, or its small programs: checks for keepalived, and of members. */
import { parseArgs } from 'node:util';
import { Agent } from '../agent/agent.ts';
import { readAgentConfig } from '../agent/config.ts';
import { countSilentSockets } from '../agent/keepalived/check-script.ts';
import { runChecker } from '../agent/lvs/checker.ts';
import { checkUdpOnce } from '../agent/lvs/probes.ts';
import { errorChain } from '../lib/errors.ts';
import type { Log, LogFields } from '../lib/log.ts';

const DEFAULT_CONFIG_FILE = '/etc/octavia/amphora-agent.conf';

function consoleLog(debug: boolean): Log {
  const write = (level: string) => (fields: LogFields, message: string) => {
    console.log(JSON.stringify({ time: new Date().toISOString(), level, message, ...fields }));
  };
  return {
    debug: debug ? write('debug') : () => {},
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  };
}

async function serve(): Promise<void> {
  const { values } = parseArgs({
    options: { 'config-file': { type: 'string', default: DEFAULT_CONFIG_FILE } },
  });
  const config = readAgentConfig(values['config-file']);
  const agent = new Agent(config, consoleLog(config.debug));
  await agent.start(process.argv[1]!);
  const end = () => void agent.stop().then(() => process.exit(0));
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
}

try {
  const [program, ...args] = process.argv.slice(2);
  if (program === 'vrrp-check') process.exitCode = await countSilentSockets(args);
  else if (program === 'udp-check') process.exitCode = await checkUdpOnce(args);
  else if (program === 'check-members') runChecker();
  else await serve();
} catch (error) {
  console.error(errorChain(error));
  process.exit(1);
}
