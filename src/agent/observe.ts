/** Looks at every haproxy of this amphora, once for statuses and once more for a heartbeat. Source: contract heartbeat.md 3. */
import { errorChain } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { haproxyFiles, type Paths } from './config.ts';
import { listLoadBalancers } from './facts.ts';
import { findText } from './files.ts';
import { findStatsSocket } from './haproxy/config-text.ts';
import { listServers, parseDocument, type Server } from './haproxy/document.ts';
import { ask } from './haproxy/socket.ts';
import { type Observation, observe, parseStats, type StatsRow } from './haproxy/stats.ts';
import { findDaemon } from './process-table.ts';

/** One load balancer's haproxy as it was just now. */
export interface Look {
  loadBalancerId: string;
  observation: Observation;
  /** `<backend>/<server>` of servers that are running on although the configuration has no more of them. */
  leftOver: string[];
}

/** A haproxy that does not run or does not answer is left out: its listeners are then missed. */
export async function look(paths: Paths, log: Log): Promise<Look[]> {
  const looks = await Promise.all(listLoadBalancers(paths).map(id => lookAt(paths, id, log)));
  return looks.filter(each => each !== undefined);
}

async function lookAt(paths: Paths, loadBalancerId: string, log: Log): Promise<Look | undefined> {
  const files = haproxyFiles(paths, loadBalancerId);
  const config = findText(files.config);
  if (config === undefined || findDaemon(files.pid, files.config) === undefined) return undefined;
  try {
    const socket = findStatsSocket(config) ?? files.adminSocket;
    const rows = parseStats(await ask(socket, 'show stat -1 -1 -1'));
    const applied = findText(files.applied);
    const servers = applied === undefined ? undefined : listedServers(applied);
    const isKnown = (backend: string, server: string) => servers?.has(`${backend}/${server}`) ?? true;
    return { loadBalancerId, observation: observe(rows, isKnown), leftOver: listLeftOver(rows, servers) };
  } catch (error) {
    // It may be starting or ending this moment; what it serves is not reported then, which is what the receiver counts.
    log.warn({ load_balancer_id: loadBalancerId, reason: errorChain(error) }, 'haproxy does not answer');
    return undefined;
  }
}

const remembered = { text: '', servers: undefined as Map<string, Server> | undefined };

/** The text is the same from one second to the next. */
function listedServers(applied: string): Map<string, Server> | undefined {
  if (remembered.text !== applied) {
    const document = parseDocument(applied);
    Object.assign(remembered, { text: applied, servers: document && listServers(document) });
  }
  return remembered.servers;
}

/** Only servers in maintenance: whatever else runs on is somebody's wish. */
function listLeftOver(rows: readonly StatsRow[], servers: Map<string, Server> | undefined): string[] {
  if (servers === undefined) return [];
  return rows
    .filter(row => row.svname !== 'FRONTEND' && row.svname !== 'BACKEND' && row.status === 'MAINT')
    .map(row => `${row.pxname}/${row.svname}`)
    .filter(server => !servers.has(server));
}
