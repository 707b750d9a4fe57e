/** A system with a pair and a single amphora that serve a client who counts, for accidents to happen to. */
import { type Accident, inside, type Scene } from './accidents.ts';
import { processesOf } from './amphora-processes.ts';
import { type ConstantLoad, handPicked, MemberHost, type SubnetOfHost } from './member-host.ts';
import { SystemProcess } from './real-system.ts';
import { until } from './until.ts';

/** Of each VIP. The limit is shorter than the pause after which the kernel repeats the first packet of a connection. */
export const LOAD = { everyMs: 10, limitMs: 900 };
const SETTLE_MS = 300;
const REDUNDANT_LIMIT_MS = 60_000;
const MEMBER_PORT = 9001;
const PROGRAMS = {
  agent: /agent\.mjs --config-file/,
  haproxy: /^(\S*\/)?haproxy /,
  keepalived: /^keepalived /,
};

type Topology = Accident['topology'];

interface Target {
  id: string;
  vips: string[];
}

export interface Outcome {
  sent: number;
  failed: number;
  /** Each reason with its count, of each VIP. */
  failures: [string, number][];
  /** The longest time without an answer at one of the VIPs. */
  gapMs: number;
  /** From the beginning of the accident until everything is there twice, or once, as it was. */
  redundantMs: number;
  /** Who of those before the accident is there no more. */
  replaced: string[];
  scene: Scene;
  /** Ids of the amphorae that hold the VIP in the end. */
  holders: string[];
}

/** What was to be otherwise; empty when all went as the table has it. Figures are for whoever asks. */
export function deviations(accident: Accident, { scene, replaced, holders }: Outcome): string[] {
  const nameOf = (id: string) => (id === scene.active ? 'active' : id === scene.standby ? 'standby' : 'new');
  const wrong = [];
  const were = replaced.map(nameOf).sort();
  const wanted = accident.replaced.toSorted();
  if (String(were) !== String(wanted))
    wrong.push(`replaced: ${were.join() || 'none'}, not ${wanted.join() || 'none'}`);
  const holder = holders.map(nameOf).join();
  if (accident.holder !== undefined && holder !== accident.holder)
    wrong.push(`${holder} holds the VIP, not ${accident.holder}`);
  return wrong;
}

export class AccidentStage implements AsyncDisposable {
  readonly system: SystemProcess;
  readonly client: MemberHost;
  readonly #targets: Record<Topology, Target>;
  #made: AsyncDisposableStack;
  #spares = 0;

  private constructor(
    system: SystemProcess,
    client: MemberHost,
    targets: Record<Topology, Target>,
    made: AsyncDisposableStack,
  ) {
    this.system = system;
    this.client = client;
    this.#targets = targets;
    this.#made = made;
  }

  /** With the settings of standalone, unless the environment has others. */
  static async open(environment: Record<string, string> = {}): Promise<AccidentStage> {
    await using made = new AsyncDisposableStack();
    const system = made.use(await SystemProcess.open(environment));
    const subnets = await createDualNetwork(system);
    const host = (index: number) =>
      MemberHost.open(
        subnets,
        subnets.map(subnet => handPicked(subnet, index)),
      );
    const members = made.use(await host(0));
    const client = made.use(await host(1));
    await members.open({ kind: 'http', name: 'a', port: MEMBER_PORT });
    const create = (topology: Topology) => createTarget(system, topology, subnets, members.addresses);
    const targets = { SINGLE: await create('SINGLE'), ACTIVE_STANDBY: await create('ACTIVE_STANDBY') };
    const stage = new AccidentStage(system, client, targets, made);
    for (const topology of ['SINGLE', 'ACTIVE_STANDBY'] as const) await stage.redundant(topology);
    stage.#made = made.move();
    return stage;
  }

  /** Resolves when the load balancer has all that it should have, and the VIP is where only one amphora is. */
  async redundant(topology: Topology, gone: readonly string[] = []): Promise<void> {
    const { id, vips } = this.#targets[topology];
    const programs = topology === 'SINGLE' ? [PROGRAMS.agent, PROGRAMS.haproxy] : Object.values(PROGRAMS);
    let seen: unknown;
    await until(
      `${topology} load balancer to be whole`,
      () => {
        const [lb] = this.system.query(
          `select provisioning_status as p, operating_status as o from load_balancer where id = '${id}'`,
        );
        const amphorae = this.#amphoraeOf(id);
        seen = { ...lb, amphorae };
        if (lb?.p !== 'ACTIVE' || lb.o !== 'ONLINE') return false;
        if (amphorae.length !== (topology === 'SINGLE' ? 1 : 2)) return false;
        if (amphorae.some(each => each.status !== 'ALLOCATED' || gone.includes(each.id))) return false;
        const looks = amphorae.map(each => this.#look(each.id, vips));
        seen = { ...lb, amphorae, looks };
        const holders = looks.filter(look => look.vips > 0);
        return (
          looks.every(({ commands }) =>
            programs.every(each => commands.some(command => each.test(command))),
          ) &&
          holders.length === 1 &&
          holders[0]!.vips === vips.length
        );
      },
      () => seen,
      REDUNDANT_LIMIT_MS,
    );
  }

  /** One of each VIP. */
  urls(topology: Topology): string[] {
    return this.#targets[topology].vips.map(vip => `http://${vip.includes(':') ? `[${vip}]` : vip}`);
  }

  /** Ids of the amphorae that have the first VIP on their interface. */
  holders(topology: Topology): string[] {
    const { id, vips } = this.#targets[topology];
    const amphorae = this.#amphoraeOf(id).map(each => each.id);
    return amphorae.filter(each => this.#look(each, vips).vips > 0);
  }

  /** Has it happen to a load balancer that is whole, under load, and waits until it is whole again. */
  async run(accident: Accident): Promise<Outcome> {
    const { topology, spares = 0 } = accident;
    await this.#keepSpares(spares);
    await this.redundant(topology);
    const { id } = this.#targets[topology];
    const loads: ConstantLoad[] = [];
    try {
      for (const url of this.urls(topology))
        loads.push(await this.client.load(url, LOAD.everyMs, LOAD.limitMs));
      const calm = (ms: number) => this.#calm(loads, ms);
      await calm(SETTLE_MS);
      const before = this.#amphoraeOf(id).map(each => each.id);
      const [active] = this.holders(topology);
      const standby = before.find(each => each !== active);
      const { system } = this;
      const scene: Scene = { system, loadBalancerId: id, active: active!, standby, calm };
      const startedAt = performance.now();
      await accident.happen(scene);
      await this.redundant(
        topology,
        accident.replaced.map(half => scene[half]!),
      );
      await calm(0);
      const redundantMs = performance.now() - startedAt;
      await calm(SETTLE_MS);
      const figures = await Promise.all(loads.splice(0).map(load => load.stop()));
      const sum = (of: 'sent' | 'failed') => figures.reduce((total, each) => total + each[of], 0);
      const after = this.#amphoraeOf(id).map(each => each.id);
      return {
        ...{ sent: sum('sent'), failed: sum('failed'), redundantMs, scene },
        failures: figures.flatMap(each => Object.entries(each.failures)),
        gapMs: Math.max(...figures.map(each => each.gapMs)),
        replaced: before.filter(each => !after.includes(each)),
        holders: this.holders(topology),
      };
    } finally {
      await Promise.all(loads.map(load => load.stop()));
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#made.disposeAsync();
  }

  async #keepSpares(spares: number): Promise<void> {
    if (spares !== this.#spares) {
      await this.system.end('SIGTERM');
      await this.system.start({ OS_HOUSE_KEEPING__SPARE_AMPHORA_POOL_SIZE: String(spares) });
      this.#spares = spares;
    }
    const ready = "select id from amphora where loadbalancer_id is null and status = 'READY'";
    await until('spare amphorae', () => this.system.query(ready).length === spares);
  }

  /** Until answers come, and no longer pause than the limit of a request has been for so long. */
  async #calm(loads: readonly ConstantLoad[], ms: number): Promise<void> {
    let since = Number.POSITIVE_INFINITY;
    let seen: unknown;
    await until(
      'requests to be answered',
      async () => {
        const figures = await Promise.all(loads.map(load => load.figures()));
        seen = figures;
        const now = performance.now();
        if (figures.every(each => each.sinceAnswerMs < 10 * LOAD.everyMs)) since = Math.min(since, now);
        else since = Number.POSITIVE_INFINITY;
        return now - since >= ms;
      },
      () => seen,
      REDUNDANT_LIMIT_MS,
    );
  }

  #amphoraeOf(loadBalancerId: string): { id: string; status: string }[] {
    return this.system.query(
      `select id, status from amphora where loadbalancer_id = '${loadBalancerId}' and status <> 'DELETED'`,
    ) as { id: string; status: string }[];
  }

  /** What runs in the instance, and how many of the VIPs it has. */
  #look(amphoraId: string, vips: readonly string[]): { commands: string[]; vips: number } {
    const { dataDir } = this.system;
    try {
      const commands = processesOf(dataDir, amphoraId).map(({ command }) => command);
      const addresses = inside(dataDir, amphoraId, 'ip', '-o', 'address', 'show', 'dev', 'eth1');
      return { commands, vips: vips.filter(vip => addresses.includes(` ${vip}/`)).length };
    } catch {
      // It is not there, not yet or no more.
      return { commands: [], vips: 0 };
    }
  }
}

/** A network with a subnet of each family. */
async function createDualNetwork({ api }: SystemProcess): Promise<(SubnetOfHost & { id: string })[]> {
  // Other systems on this host must not have the same ranges.
  const own = process.pid % 250;
  const create = async (kind: string, body: object) => {
    const answer = await api.client.request('POST', `network/${kind}s`, { [kind]: body });
    return (answer as Record<string, SubnetOfHost & { id: string }>)[kind]!;
  };
  const { id: network_id } = await create('network', { name: 'accidents' });
  const subnet = (ip_version: 4 | 6, cidr: string) => create('subnet', { network_id, ip_version, cidr });
  return [await subnet(4, `198.18.${own}.0/24`), await subnet(6, `fd00:acc1:${own}::/64`)];
}

/** Its topology comes from a flavor, its VIPs are one of each subnet, and so are its members. */
async function createTarget(
  { api }: SystemProcess,
  topology: Topology,
  subnets: readonly { id: string }[],
  memberAddresses: readonly string[],
): Promise<Target> {
  const flavor_data = JSON.stringify({ loadbalancer_topology: topology });
  const profile = await api.create('flavorprofiles', {
    name: topology,
    provider_name: 'amphora',
    flavor_data,
  });
  const flavor = await api.create('flavors', { name: topology, flavor_profile_id: profile.id });
  const members = memberAddresses.map(address => ({ address, protocol_port: MEMBER_PORT }));
  const lb = await api.create('loadbalancers', {
    ...{ name: topology, flavor_id: flavor.id, vip_subnet_id: subnets[0]!.id },
    additional_vips: subnets.slice(1).map(({ id: subnet_id }) => ({ subnet_id })),
    listeners: [
      {
        ...{ name: 'web', protocol: 'HTTP', protocol_port: 80 },
        default_pool: { name: 'web', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', members },
      },
    ],
  });
  const more = lb.additional_vips as { ip_address: string }[];
  return { id: lb.id, vips: [String(lb.vip_address), ...more.map(({ ip_address }) => ip_address)] };
}
