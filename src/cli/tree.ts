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

/** Everything under the load balancer; a pool stands below whatever sends traffic to it, the others at the end. */
export async function listGraph(client: Client, lb: Resource): Promise<Node> {
  const filter = { loadbalancer_id: lb.id };
  const [listeners, pools] = await Promise.all([
    client.list('lbaas/listeners', filter),
    client.list('lbaas/pools', filter),
  ]);
  const nodes = new Map(
    await Promise.all(pools.map(async pool => [pool.id, await poolNode(client, pool)] as const)),
  );
  const unused = new Map(nodes);
  const poolBelow = (id: unknown): Node[] => {
    const node = nodes.get(String(id));
    unused.delete(String(id));
    return node ? [node] : [];
  };
  const children = await Promise.all(
    listeners.map(async listener => {
      const policies = (listener.l7policies as unknown[] | undefined)?.length
        ? await client.list('lbaas/l7policies', { listener_id: listener.id, sort: 'position' })
        : [];
      const policyNodes = await Promise.all(
        policies.map(async policy => policyNode(client, policy, poolBelow(policy.redirect_pool_id))),
      );
      const detail = `${listener.protocol}:${listener.protocol_port}`;
      return nodeOf(listener, 'listener', detail, [...policyNodes, ...poolBelow(listener.default_pool_id)]);
    }),
  );
  return nodeOf(lb, 'load balancer', String(lb.vip_address ?? ''), [...children, ...unused.values()]);
}

async function policyNode(client: Client, policy: Resource, pools: Node[]): Promise<Node> {
  const rules = (policy.rules as unknown[] | undefined)?.length
    ? await client.list(`lbaas/l7policies/${policy.id}/rules`)
    : [];
  const target = policy.redirect_url ?? policy.redirect_prefix ?? '';
  return nodeOf(policy, 'l7policy', `${policy.position}. ${policy.action} ${target}`.trimEnd(), [
    ...rules.map(rule => nodeOf(rule, 'l7rule', ruleDetail(rule), [])),
    ...pools,
  ]);
}

function ruleDetail(rule: Resource): string {
  const subject = rule.key ? `${rule.type} ${rule.key}` : rule.type;
  return `${rule.invert ? 'not ' : ''}${subject} ${rule.compare_type} ${rule.value}`;
}

async function poolNode(client: Client, pool: Resource): Promise<Node> {
  const monitorId = pool.healthmonitor_id;
  const [members, monitors] = await Promise.all([
    client.list(`lbaas/pools/${pool.id}/members`),
    monitorId ? client.list('lbaas/healthmonitors', { id: String(monitorId) }) : [],
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

const NOUN_IN_STATUSES = {
  ...{ listeners: 'listener', pools: 'pool', health_monitor: 'health monitor', members: 'member' },
};

/** A load balancer, or something under it, of the API's own status tree. Source: contract api.md 5.6. */
export function nodeOfStatuses(row: Resource, noun = 'load balancer'): Node {
  const below = Object.entries(NOUN_IN_STATUSES).flatMap(([key, childNoun]) =>
    [row[key] ?? []].flat().map(child => nodeOfStatuses(child as Resource, childNoun)),
  );
  return nodeOf(row, noun, row.address ? addressOf(row) : String(row.type ?? ''), below);
}

function monitorDetail(monitor: Resource): string {
  const path = monitor.url_path ? ` ${monitor.http_method} ${monitor.url_path}` : '';
  return `${monitor.type}${path} every ${monitor.delay} s`;
}

function addressOf(member: Resource): string {
  const address = String(member.address);
  return `${address.includes(':') ? `[${address}]` : address}:${member.protocol_port}`;
}

function memberDetail(member: Resource): string {
  return `${addressOf(member)} weight ${member.weight}${member.backup ? ' backup' : ''}`;
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
