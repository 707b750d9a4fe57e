/** Where VIPs, members and clients may be: both IP versions, other subnets, other networks, behind routers, any MTU. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import { chooseFreeCidr } from '../../src/drivers/network/allocation.ts';
import { containsAddress } from '../../src/lib/addresses.ts';
import { memberPortName } from '../../src/model/amphora.ts';
import { initOf } from './amphora-processes.ts';
import { DualVip, dualVip, FAMILIES, type Family, type Service } from './dual-vip.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { type Subnet, titled, trafficObstacle } from './real-system.ts';

const PORT = 9001;
const JUMBO = 9000;
/** The smallest that IPv6 allows. */
const SMALL = 1280;

type Subnets = Record<Family, Subnet>;

/** Ranges behind a router, of no network of the cloud's. */
const far = (n: number) => ({
  IPv4: {
    ...{ cidr: `203.0.113.${n * 64}/26`, gateway_ip: `203.0.113.${n * 64 + 1}` },
    host: `203.0.113.${n * 64 + 9}`,
  },
  IPv6: {
    ...{ cidr: `fd00:d0a3:${n}::/64`, gateway_ip: `fd00:d0a3:${n}::1` },
    host: `fd00:d0a3:${n}::9`,
  },
});
const BEHIND_FRONT = far(1);
const BEHIND_BACK = far(2);

/** What a member streams: so many chunks of 1000 bytes. */
const CHUNKS = 100;
const streamed = Array.from({ length: CHUNKS }, (_, i) => String(i % 10).repeat(1000)).join('');

// The first addresses are those of the clients of `dual`.
const addressIn = (subnets: Subnets, family: Family) => handPicked(subnets[family], 9);
const pickedIn = (subnets: Subnets) => FAMILIES.map(family => addressIn(subnets, family));
const inUrl = (address: string) => (address.includes(':') ? `[${address}]` : address);

describe.skipIf(trafficObstacle)(titled('where members and clients are'), () => {
  const made = new AsyncDisposableStack();
  let dual: DualVip;
  /** Two more subnets in the VIPs' network, without a gateway. */
  let more: Subnets;
  let back: Subnets;
  let elsewhere: Subnets;
  /** In the VIPs' network; with a client behind it. */
  let front: MemberHost;
  let farClient: MemberHost;
  /** With a member behind it. */
  let backHost: MemberHost;
  let elsewhereHost: MemberHost;

  const post = async (path: string, root: string, body: object): Promise<Resource> => {
    const answer = await dual.system.api.client.request('POST', `network/${path}`, { [root]: body });
    return (answer as Record<string, Resource>)[root]!;
  };
  const createNetwork = async (name: string, mtu: number) =>
    (await post('networks', 'network', { name, mtu })).id;
  let seeds = process.pid;
  const createSubnets = async (network_id: string, options: object = {}): Promise<Subnets> => {
    const taken = await dual.system.networks.bridge.listReservedCidrs();
    // The host is not in a subnet without a gateway, and takes its range for free.
    const seed = seeds++;
    const create = (ip_version: 4 | 6, range: string, prefix: number) =>
      post('subnets', 'subnet', {
        ...{ network_id, ip_version, cidr: chooseFreeCidr(range, { prefix, taken, seed }) },
        ...options,
      });
    const IPv4 = await create(4, '198.18.0.0/15', 24);
    return { IPv4, IPv6: await create(6, 'fd00:d0a2::/48', 64) } as unknown as Subnets;
  };
  const routeTo = (subnet: Subnet, destination: string, nexthop: string) =>
    dual.system.networks.bridge.store.update('subnet', subnet.id, {
      host_routes: [{ destination, nexthop }],
    });

  const amphoraOf = async (lb: Resource) =>
    (await dual.system.api.client.list('octavia/amphorae', { loadbalancer_id: lb.id }))[0]!.id;
  /** By name, the MTU. */
  const mtusIn = (amphora: string): Record<string, number> => {
    const enter = ['-t', String(initOf(dual.system.dataDir, amphora)), '-m'];
    const inner = ['ip', '-netns', 'amphora-haproxy', '-json', 'link', 'show'];
    const links: { ifname: string; mtu: number }[] = JSON.parse(
      execFileSync('nsenter', [...enter, ...inner]).toString(),
    );
    return Object.fromEntries(links.map(link => [link.ifname, link.mtu]));
  };

  const serveFrom = async (address: string, subnet_id?: string): Promise<Service> => {
    const service = await dual.serve({ members: [] });
    await dual.addMember(service.pool, PORT, { address, ...(subnet_id && { subnet_id }) });
    await dual.active();
    return service;
  };
  const askFront = (service: Service, family: Family, path: string) =>
    front.ask(service.url(family) + path, addressIn(dual.subnets, family));
  /** Where the member sees us come from, whichever VIP was asked. */
  const sourceOf = async (service: Service): Promise<string> => {
    const answers = await Promise.all(FAMILIES.map(family => askFront(service, family, '/headers')));
    const [one, two] = answers.map(({ body }) => JSON.parse(body).from.replace('::ffff:', ''));
    expect(one).toBe(two);
    return one;
  };

  beforeAll(async () => {
    dual = made.use(await DualVip.open());
    more = await createSubnets(String(dual.lb.vip_network_id), { gateway_ip: null });
    back = await createSubnets(await createNetwork('back', JUMBO));
    elsewhere = await createSubnets(await createNetwork('elsewhere', SMALL));
    const fronts = [dual.subnets, more].flatMap(subnets => Object.values(subnets));
    const inFront = [...pickedIn(dual.subnets), ...pickedIn(more)];
    front = made.use(await MemberHost.open(fronts, inFront));
    backHost = made.use(await MemberHost.open(Object.values(back), pickedIn(back), JUMBO));
    elsewhereHost = made.use(await MemberHost.open(Object.values(elsewhere), pickedIn(elsewhere), SMALL));
    const behind = async (router: MemberHost, ranges: typeof BEHIND_BACK, mtu?: number) => {
      const hosts = FAMILIES.map(family => ranges[family].host);
      return made.use(await router.openBehind(Object.values(ranges), hosts, mtu));
    };
    farClient = await behind(front, BEHIND_FRONT, SMALL);
    const farMember = await behind(backHost, BEHIND_BACK);
    for (const family of FAMILIES) {
      elsewhereHost.ip('route', 'add', 'default', 'via', elsewhere[family].gateway_ip!);
      backHost.ip('route', 'add', 'default', 'via', back[family].gateway_ip!);
      await routeTo(back[family], BEHIND_BACK[family].cidr, addressIn(back, family));
      await routeTo(dual.subnets[family], BEHIND_FRONT[family].cidr, addressIn(dual.subnets, family));
    }
    for (const [name, host] of Object.entries({ front, backHost, elsewhereHost, farMember })) {
      await host.open({ kind: 'http', name, port: PORT });
    }
    await dual.active();
  });
  afterAll(() => made.disposeAsync());

  describe.each(FAMILIES)('a member reached over %s', family => {
    test("in another subnet of the VIP's network, without a router [member.subnet_id, IPv4, IPv6]", async () => {
      const service = await serveFrom(addressIn(more, family), more[family].id);
      expect(containsAddress(more[family].cidr, await sourceOf(service))).toBe(true);
    });

    test('in another network, through a port in it, with its jumbo frames [member.subnet_id, IPv4, IPv6]', async () => {
      const service = await serveFrom(addressIn(back, family), back[family].id);
      expect(containsAddress(back[family].cidr, await sourceOf(service))).toBe(true);
      expect(Object.values(mtusIn(await amphoraOf(dual.lb)))).toContain(JUMBO);
      for (const each of FAMILIES) {
        expect((await askFront(service, each, `/stream/${CHUNKS}/0`)).body).toBe(streamed);
      }
    });

    test('behind a router of another network [member.subnet_id, IPv4, IPv6]', async () => {
      const service = await serveFrom(BEHIND_BACK[family].host, back[family].id);
      expect(containsAddress(back[family].cidr, await sourceOf(service))).toBe(true);
    });

    test("anywhere, through the gateway of the VIP's subnet, when it names no subnet [member.address, IPv4, IPv6]", async () => {
      const service = await serveFrom(addressIn(elsewhere, family));
      expect(containsAddress(dual.subnets[family].cidr, await sourceOf(service))).toBe(true);
    });
  });

  test("answers leave from the VIP's interface, though another one is in the client's network [loadbalancer.vip_subnet_id, loadbalancer.additional_vips, IPv4, IPv6]", async () => {
    const service = await serveFrom(addressIn(back, 'IPv4'), back.IPv4.id);
    const name = memberPortName(await amphoraOf(dual.lb), back.IPv4.network_id);
    const port = await dual.system.networks.bridge.findPortByName(name);
    // As a cloud does in which a port sends from its own addresses only.
    const [four, six] = FAMILIES.map(family => dual.vips[family].replace(/[[\]]/g, ''));
    const drop = [`ip saddr ${four}`, `ip6 saddr ${six}`].map(
      from => `ether saddr ${port!.mac_address} ${from} drop`,
    );
    const hook = 'type filter hook ingress device eth0 priority 0;';
    backHost.setRules(`table netdev strict {\nchain in {\n${[hook, ...drop].join('\n')}\n}\n}`);
    for (const family of FAMILIES) {
      const answer = await backHost.ask(`${service.url(family)}/r/1`, addressIn(back, family));
      expect(answer.body).toBe('backHost /r/1');
    }
    backHost.setRules('delete table netdev strict');
  });

  test('addresses and ports go with the last member that needs them, the VIPs stay, and the subnets may be deleted', async () => {
    const { api, networks } = dual.system;
    const amphora = await amphoraOf(dual.lb);
    const present = async () => {
      const ports = await networks.bridge.store.list('port');
      return ports
        .filter(port => port.name.startsWith('octavia-lb-') && port.name.includes(amphora))
        .flatMap(port => port.fixed_ips.map(ip => ip.subnet_id))
        .sort();
    };
    const subnets = [more, back].flatMap(each => FAMILIES.map(family => each[family].id));
    expect(await present()).toEqual([dual.subnets.IPv4.id, ...subnets].sort());
    const service = await serveFrom(addressIn(dual.subnets, 'IPv4'), dual.subnets.IPv4.id);
    for (const { id } of await api.list('pools')) {
      if (id !== service.pool.id) await api.remove(`pools/${id}`);
    }
    await dual.active();
    expect(await present()).toEqual([dual.subnets.IPv4.id]);
    expect(Object.keys(mtusIn(amphora))).toEqual(['lo', 'eth1']);
    for (const family of FAMILIES) expect((await askFront(service, family, '/r/1')).body).toBe('front /r/1');
    for (const id of subnets) await api.client.request('DELETE', `network/subnets/${id}`);
  });

  describe('a VIP', () => {
    /** Made real, with a member. */
    const createLb = async (vip: object, address: string) => {
      const { api } = dual.system;
      const members = [{ address, protocol_port: PORT }];
      const default_pool = { name: 'pool', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', members };
      const listeners = [{ protocol: 'HTTP', protocol_port: 80, default_pool }];
      const { id } = await api.create('loadbalancers', { ...vip, listeners });
      return api.active(id);
    };
    const expectStream = async (vip: unknown, client: MemberHost, from: string) => {
      const url = `http://${inUrl(String(vip))}/stream/${CHUNKS}/0`;
      expect((await client.ask(url, from)).body).toBe(streamed);
    };

    test.each(FAMILIES)(
      'that its user chose, alone in a network of small frames [loadbalancer.vip_network_id, loadbalancer.vip_address, %s]',
      async family => {
        const vip_address = handPicked(elsewhere[family], 20);
        const vip = { vip_network_id: elsewhere[family].network_id, vip_address };
        const lb = await createLb(vip, addressIn(elsewhere, family));
        expect(lb).toMatchObject({ vip_address, vip_subnet_id: elsewhere[family].id, additional_vips: [] });
        expect(mtusIn(await amphoraOf(lb)).eth1).toBe(SMALL);
        await expectStream(vip_address, elsewhereHost, addressIn(elsewhere, family));
      },
    );

    test("on a port of the user's, for clients behind a router with smaller frames [loadbalancer.vip_port_id, loadbalancer.additional_vips, IPv4, IPv6]", async () => {
      const fixed_ips = FAMILIES.map(family => ({ subnet_id: dual.subnets[family].id }));
      const port = await post('ports', 'port', { network_id: dual.subnets.IPv4.network_id, fixed_ips });
      const vip = { vip_port_id: port.id, ...dualVip(dual.subnets) };
      const lb = await createLb(vip, addressIn(dual.subnets, 'IPv4'));
      const [six] = lb.additional_vips as { ip_address: string }[];
      await expectStream(lb.vip_address, farClient, BEHIND_FRONT.IPv4.host);
      await expectStream(six!.ip_address, farClient, BEHIND_FRONT.IPv6.host);
    });
  });
});
