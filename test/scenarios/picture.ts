/** What a cloud serves, as a picture in which two histories that led to the same are equal. */
import { loadGraph } from '../../src/db/graph.ts';
import type { Db } from '../../src/db/schema.ts';
import { listSpares } from '../../src/db/spares.ts';
import type { NoopCloud } from '../../src/drivers/noop-cloud.ts';
import { type Amphora, instanceName, memberPortName, vrrpPortName } from '../../src/model/amphora.ts';
import { vipPortName } from '../../src/model/load-balancer.ts';

/**
 * What the cloud does for each load balancer that is alive, with everything that another build would choose
 * differently (an amphora's id and its addresses) under a name of its own. Fails on anything no row owns.
 */
export async function servedWorld(db: Db, cloud: NoopCloud): Promise<unknown[]> {
  const alive = await db
    .selectFrom('load_balancer')
    .select('id')
    .where('provisioning_status', '<>', 'DELETED')
    .orderBy('id')
    .execute();
  const owned = new Set<string>();
  const served: unknown[] = [];
  for (const { id } of alive) {
    const graph = (await loadGraph(db, id))!;
    const { name, fixed_ips, limits } = take(cloud.ports, vipPortName(id), owned);
    const amphorae = graph.amphorae.toSorted((a, b) => (a.role! < b.role! ? -1 : 1));
    served.push({
      vip: { name, fixed_ips, limits },
      amphorae: amphorae.map(a => servedAmphora(a, amphorae, cloud, owned)),
    });
  }
  for (const spare of await listSpares(db)) take(cloud.instances, instanceName(spare.id), owned);
  for (const name of [...cloud.ports.keys(), ...cloud.instances.keys()]) {
    if (!owned.has(name)) throw new Error(`Nobody owns ${name}`);
  }
  return served;
}

function servedAmphora(
  amphora: Amphora,
  all: readonly Amphora[],
  cloud: NoopCloud,
  owned: Set<string>,
): unknown {
  const { agent, networks, files, flavor } = take(cloud.instances, instanceName(amphora.id), owned);
  const vrrpPort = take(cloud.ports, vrrpPortName(amphora.id), owned);
  const memberPorts = [...cloud.ports.values()]
    .filter(port => port.name.startsWith(memberPortName(amphora.id, '')))
    .toSorted((a, b) => (a.network_id < b.network_id ? -1 : 1));
  for (const port of memberPorts) owned.add(port.name);
  const { role, status } = amphora;
  const ports = [vrrpPort, ...memberPorts];
  const plugged = ports.map(port => agent.networks.get(port.mac_address));
  const subnets = ports.map(port => port.fixed_ips.map(ip => ip.subnet_id).sort());
  const { allowed_addresses } = vrrpPort;
  const picture = {
    role,
    status,
    networks,
    flavor,
    isApart: all.some(other => isApart(cloud, amphora, other) || isApart(cloud, other, amphora)),
    files: [...files.keys()],
    agentConfig: files.get('/etc/octavia/amphora-agent.conf'),
    allowed_addresses,
    vips: [...agent.vips],
    plugged,
    subnets,
    config: agent.config,
    vrrp: agent.keepalivedConf?.split(/\s+/).map((word, i, words) => {
      if (words[i - 1] === 'auth_pass') return 'PASSWORD';
      return all.find(each => each.vrrp_ip === word)?.role ?? word;
    }),
  };
  // The two of a pair have other names and addresses in every history.
  let text = JSON.stringify(picture).replaceAll(/peer \S+ \S+:1025/g, 'peer PEER');
  const rename = (found: string | null | undefined, to: string) => {
    if (found) text = text.replaceAll(found, to);
  };
  rename(amphora.id, 'AMPHORA');
  ports.forEach((port, i) => {
    rename(port.id, `PORT ${i}`);
    rename(port.mac_address, `MAC ${i}`);
    for (const ip of port.fixed_ips) rename(`"${ip.ip_address}"`, `"ADDRESS ${i}"`);
  });
  return JSON.parse(text);
}

/** Whether compute was told not to put the one beside the other. */
const isApart = ({ instances }: NoopCloud, one: Amphora, other: Amphora): boolean =>
  instances.get(instanceName(one.id))?.apart_from.includes(instanceName(other.id)) ?? false;

function take<T>(things: Map<string, T>, name: string, owned: Set<string>): T {
  const thing = things.get(name);
  if (!thing) throw new Error(`There is no ${name}`);
  owned.add(name);
  return thing;
}
