/** One load balancer with everything under it, each with both statuses. */
import type { Client, Resource } from './client.ts';
import { paintStatus } from './output.ts';

export interface Node {
  /** Such as `listener web`. */
  label: string;
  /** Such as `HTTP:80`. */
  detail: string;
  provisioning_status: string;
  operating_status: string;
  children: Node[];
}

/** Everything under the load balancer; a pool stands under each listener that sends traffic to it, the others at the end. */
export async function listGraph(client: Client, lb: Resource): Promise<Node> {
  const filter = { loadbalancer_id: lb.id };
  const [listeners, pools] = await Promise.all([
    client.list('lbaas/listeners', 'listeners', filter),
    client.list('lbaas/pools', 'pools', filter),
  ]);
  const nodes = new Map(
    await Promise.all(pools.map(async pool => [pool.id, await poolNode(client, pool)] as const)),
  );
  const used = new Set<unknown>();
  const children = listeners.map(listener => {
    const pool = nodes.get(String(listener.default_pool_id));
    used.add(listener.default_pool_id);
    return nodeOf(listener, 'listener', `${listener.protocol}:${listener.protocol_port}`, pool ? [pool] : []);
  });
  const unused = pools.filter(pool => !used.has(pool.id)).map(pool => nodes.get(pool.id)!);
  return nodeOf(lb, 'load balancer', String(lb.vip_address ?? ''), [...children, ...unused]);
}

async function poolNode(client: Client, pool: Resource): Promise<Node> {
  const monitorId = pool.healthmonitor_id;
  const [members, monitors] = await Promise.all([
    client.list(`lbaas/pools/${pool.id}/members`, 'members'),
    monitorId ? client.list('lbaas/healthmonitors', 'healthmonitors', { id: String(monitorId) }) : [],
  ]);
  return nodeOf(pool, 'pool', `${pool.protocol} ${pool.lb_algorithm}`, [
    ...monitors.map(monitor => nodeOf(monitor, 'health monitor', monitorDetail(monitor), [])),
    ...members.map(member => nodeOf(member, 'member', memberDetail(member), [])),
  ]);
}

function nodeOf(resource: Resource, noun: string, detail: string, children: Node[]): Node {
  return {
    label: `${noun} ${resource.name || resource.id}`,
    detail: resource.admin_state_up === false ? `${detail} switched off` : detail,
    provisioning_status: String(resource.provisioning_status),
    operating_status: String(resource.operating_status),
    children,
  };
}

function monitorDetail(monitor: Resource): string {
  const path = monitor.url_path ? ` ${monitor.http_method} ${monitor.url_path}` : '';
  return `${monitor.type}${path} every ${monitor.delay} s`;
}

function memberDetail(member: Resource): string {
  const address = String(member.address);
  const host = address.includes(':') ? `[${address}]` : address;
  return `${host}:${member.protocol_port} weight ${member.weight}${member.backup ? ' backup' : ''}`;
}

/** One line per node, statuses in columns. */
export function renderTree(root: Node, stream: NodeJS.WritableStream): string {
  const lines: { text: string; node: Node }[] = [];
  const add = (node: Node, lead: string, childLead: string) => {
    lines.push({ text: `${lead}${node.label}  ${node.detail}`, node });
    for (const [i, child] of node.children.entries()) {
      const isLast = i === node.children.length - 1;
      add(child, `${childLead}${isLast ? '└─ ' : '├─ '}`, `${childLead}${isLast ? '   ' : '│  '}`);
    }
  };
  add(root, '', '');
  const width = Math.max(...lines.map(line => line.text.length));
  const statusWidth = Math.max(...lines.map(line => line.node.provisioning_status.length));
  return lines
    .map(({ text, node }) => {
      const gap = ' '.repeat(statusWidth - node.provisioning_status.length);
      const statuses = `${paintStatus(node.provisioning_status, stream)}${gap}  ${paintStatus(node.operating_status, stream)}`;
      return `${text.padEnd(width)}  ${statuses}\n`;
    })
    .join('');
}
