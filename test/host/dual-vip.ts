/** A load balancer with a VIP of each family, whose members tests serve in their own process, at the gateway's address. */
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import type { Resource } from '../../src/cli/client.ts';
import type { StandaloneOptions } from '../../src/main/standalone.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { openSystemHere, type Subnet, type SystemHere } from './real-system.ts';

export const FAMILIES = ['IPv4', 'IPv6'] as const;
export type Family = (typeof FAMILIES)[number];

export interface Service {
  listener: Resource;
  pool: Resource;
  members: Resource[];
  port: number;
  /** Of the VIP and this listener's port. */
  url(family: Family): string;
}

export interface Wish {
  /** Protocol HTTP unless it says otherwise; the next free port. */
  listener?: object;
  /** Protocol HTTP and ROUND_ROBIN unless it says otherwise. */
  pool?: object;
  /** The ports of its members. */
  members: number[];
}

type DualSubnets = Record<Family, Subnet>;

/** A network with a subnet of each family. */
export async function ensureDualSubnets({ networks: { bridge } }: SystemHere): Promise<DualSubnets> {
  // Other systems on this host must not have the same ranges.
  const own = process.pid % 250;
  const { id: network_id } = await bridge.ensureNetwork({ name: 'dual', shared: true });
  const subnet = (name: string, cidr: string) => bridge.ensureSubnet({ name, network_id, cidr });
  const IPv4 = await subnet('v4', `198.19.${own}.0/24`);
  return { IPv4, IPv6: await subnet('v6', `fd00:d0a1:${own}::/64`) };
}

/** What a request for a load balancer says of its addresses. */
export const dualVip = ({ IPv4, IPv6 }: DualSubnets) => ({
  ...{ vip_subnet_id: IPv4.id, additional_vips: [{ subnet_id: IPv6.id }] },
});

/** As they stand in URLs. */
export function vipsOf(lb: Resource): Record<Family, string> {
  const [six] = lb.additional_vips as { ip_address: string }[];
  return { IPv4: String(lb.vip_address), IPv6: `[${six!.ip_address}]` };
}

export class DualVip implements AsyncDisposable {
  readonly system: SystemHere;
  readonly lb: Resource;
  readonly vips: Readonly<Record<Family, string>>;
  /** Clients in a namespace, with as many addresses of each family as were asked for. */
  readonly clients: MemberHost;
  readonly subnets: DualSubnets;
  readonly addresses: Readonly<Record<Family, string[]>>;
  /** Where members of this process listen. */
  readonly gateway: string;
  readonly #made: AsyncDisposableStack;
  #port = 8000;

  private constructor(
    parts: Pick<DualVip, 'system' | 'lb' | 'vips' | 'clients' | 'addresses' | 'gateway' | 'subnets'>,
    made: AsyncDisposableStack,
  ) {
    this.system = parts.system;
    this.lb = parts.lb;
    this.vips = parts.vips;
    this.clients = parts.clients;
    this.addresses = parts.addresses;
    this.gateway = parts.gateway;
    this.subnets = parts.subnets;
    this.#made = made;
  }

  static async open(clientCount = 1, options: Partial<StandaloneOptions> = {}): Promise<DualVip> {
    await using made = new AsyncDisposableStack();
    const system = made.use(await openSystemHere(options));
    const subnets = await ensureDualSubnets(system);
    const { IPv4: v4, IPv6: v6 } = subnets;
    const lb = await system.api.create('loadbalancers', { name: 'dual', ...dualVip(subnets) });
    const picked = (subnet: typeof v4) =>
      Array.from({ length: clientCount }, (_, i) => handPicked(subnet, i));
    const addresses = { IPv4: picked(v4), IPv6: picked(v6) };
    const clients = made.use(await MemberHost.open([v4, v6], [...addresses.IPv4, ...addresses.IPv6]));
    const gateway = v4.gateway_ip!;
    const parts = { system, lb, vips: vipsOf(lb), clients, subnets, addresses, gateway };
    return new DualVip(parts, made.move());
  }

  /** A listener with its pool and members; accepted, not yet made real. */
  async serve(wish: Wish): Promise<Service> {
    const { api } = this.system;
    const port = this.#port++;
    const listener = await api.create('listeners', {
      ...{ loadbalancer_id: this.lb.id, protocol: 'HTTP', protocol_port: port },
      ...wish.listener,
    });
    const pool = await api.create('pools', {
      ...{ listener_id: listener.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
      ...wish.pool,
    });
    const members = [];
    for (const each of wish.members) members.push(await this.addMember(pool, each));
    const url = (family: Family) => `http://${this.vips[family]}:${port}`;
    return { listener, pool, members, port, url };
  }

  addMember(pool: Resource, protocol_port: number, more: object = {}): Promise<Resource> {
    const body = { address: this.gateway, protocol_port, ...more };
    return this.system.api.create(`pools/${pool.id}/members`, body);
  }

  active(): Promise<Resource> {
    return this.system.api.active(this.lb.id);
  }

  async set(path: string, body: object): Promise<void> {
    await this.system.api.set(path, body);
    await this.active();
  }

  /** Lets the server listen where members are, and returns its port; it is closed with all else. */
  async listen(server: Server & { closeAllConnections?(): void }, family: Family = 'IPv4'): Promise<number> {
    server.listen(0, this.subnets[family].gateway_ip!);
    await once(server, 'listening');
    this.#made.defer(() => {
      server.close();
      server.closeAllConnections?.();
    });
    return (server.address() as AddressInfo).port;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#made.disposeAsync();
  }
}
