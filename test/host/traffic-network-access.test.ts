/** Who may reach a listener: `allowed_cidrs` for new clients and for those that are connected, and the user's own groups. */
import { createServer, type ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import { DualVip, dualVip, FAMILIES, type Family, type Service, vipsOf } from './dual-vip.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

/** Silence for so long is a refusal; answers that are due are waited for. */
const SILENCE_MS = 400;
const ANSWER_MS = 20_000;
const CLIENTS = [0, 1, 2];
const UDP_MEMBER = 9053;

describe.skipIf(trafficObstacle)(titled('who may reach a listener'), () => {
  const made = new AsyncDisposableStack();
  let dual: DualVip;
  let member: number;
  let limited: Service;
  let open: Service;
  /** The answers of which more comes until a test ends them. */
  const endless: ServerResponse[] = [];

  const from = (client: number, family: Family) => dual.addresses[family][client]!;
  /** By family, these clients get an answer and the others do not. */
  const expectReached = async (
    due: Record<Family, number[]>,
    ask: (client: number, family: Family, limitMs: number) => Promise<unknown>,
  ) => {
    const asked = FAMILIES.map(async family => {
      const limitOf = (client: number) => (due[family].includes(client) ? ANSWER_MS : SILENCE_MS);
      const answers = await Promise.allSettled(CLIENTS.map(client => ask(client, family, limitOf(client))));
      return [family, CLIENTS.filter(client => answers[client]!.status === 'fulfilled')];
    });
    expect(Object.fromEntries(await Promise.all(asked))).toEqual(due);
  };
  const expectWeb = (service: Pick<Service, 'url'>, due: Record<Family, number[]>) =>
    expectReached(due, (client, family, limitMs) =>
      dual.clients.ask(service.url(family), from(client, family), limitMs),
    );
  const everybody = { IPv4: CLIENTS, IPv6: CLIENTS };
  const cidrsOf = (...clients: number[]) =>
    clients.flatMap(client => [`${from(client, 'IPv4')}/32`, `${from(client, 'IPv6')}/128`]);
  const post = async (path: string, root: string, body: object): Promise<Resource> => {
    const answer = await dual.system.api.client.request('POST', `network/${path}`, { [root]: body });
    return (answer as Record<string, Resource>)[root]!;
  };

  beforeAll(async () => {
    dual = made.use(await DualVip.open(CLIENTS.length));
    const server = createServer((request, response) => {
      if (request.url !== '/endless') return void response.end('member');
      const timer = setInterval(() => response.write('x'), 20);
      response.once('close', () => clearInterval(timer));
      endless.push(response);
    });
    member = await dual.listen(server);
    limited = await dual.serve({ listener: { allowed_cidrs: cidrsOf(0) }, members: [member] });
    open = await dual.serve({ members: [member] });
    await dual.active();
  });
  afterAll(() => made.disposeAsync());

  test('clients of the networks that are named, of each listener by itself [listener.allowed_cidrs, IPv4, IPv6]', async () => {
    await expectWeb(limited, { IPv4: [0], IPv6: [0] });
    await expectWeb(open, everybody);
    const path = `listeners/${limited.listener.id}`;
    await dual.set(path, { allowed_cidrs: [`${from(1, 'IPv4')}/32`] });
    await expectWeb(limited, { IPv4: [1], IPv6: [] });
    await dual.set(path, { allowed_cidrs: null });
    await expectWeb(limited, everybody);
  });

  test.each(FAMILIES)(
    'a client that may not come any more is cut off, others go on [listener.allowed_cidrs, %s]',
    async family => {
      const path = `listeners/${limited.listener.id}`;
      await dual.set(path, { allowed_cidrs: cidrsOf(0, 1) });
      const asked = [2_000, ANSWER_MS].map((limitMs, client) =>
        dual.clients.ask(`${limited.url(family)}/endless`, from(client, family), limitMs),
      );
      const cut = expect(asked[0]).rejects.toThrow('timeout');
      await until('both to be served', () => endless.length === 2);
      await dual.set(path, { allowed_cidrs: cidrsOf(1) });
      await cut;
      for (const response of endless.splice(0)) response.end('the end');
      expect((await asked[1]!).body).toMatch(/^x+the end$/);
      await dual.set(path, { allowed_cidrs: null });
    },
  );

  test('a listener that is removed is closed, and the next one on its port says who may come [listener.allowed_cidrs, IPv4, IPv6]', async () => {
    const { api, networks } = dual.system;
    const port = async () => (await networks.bridge.store.findPort(String(dual.lb.vip_port_id)))!;
    const doomed = await dual.serve({ listener: { allowed_cidrs: cidrsOf(0) }, members: [member] });
    await dual.active();
    await expectWeb(doomed, { IPv4: [0], IPv6: [0] });
    expect((await port()).limits).toHaveLength(1);
    await api.remove(`listeners/${doomed.listener.id}`);
    await dual.active();
    await expectWeb(doomed, { IPv4: [], IPv6: [] });
    expect((await port()).limits).toEqual([]);
    const heir = { protocol_port: doomed.port, allowed_cidrs: cidrsOf(2) };
    await dual.serve({ listener: heir, members: [member] });
    await dual.active();
    await expectWeb(doomed, { IPv4: [2], IPv6: [2] });
  });

  test('datagrams are let in like connections [listener.allowed_cidrs, IPv4, IPv6]', async () => {
    const { IPv4, IPv6 } = dual.subnets;
    const address = handPicked(IPv4, 50);
    const host = made.use(await MemberHost.open([IPv4, IPv6], [address, handPicked(IPv6, 50)]));
    await host.open({ kind: 'udp', name: 'udp', port: UDP_MEMBER });
    const service = await dual.serve({
      listener: { protocol: 'UDP', allowed_cidrs: cidrsOf(1) },
      ...{ pool: { protocol: 'UDP' }, members: [] },
    });
    await dual.addMember(service.pool, UDP_MEMBER, { address });
    await dual.addMember(service.pool, UDP_MEMBER, { address: host.addresses[1] });
    await dual.active();
    const flow = `access ${service.port}`;
    const expectAnswered = (due: Record<Family, number[]>) =>
      expectReached(due, (client, family, limitMs) =>
        dual.clients.datagram({
          ...{
            host: dual.vips[family].replace(/[[\]]/g, ''),
            port: service.port,
            from: from(client, family),
          },
          ...{ flow: `${flow} ${client} ${family}`, text: 'hello', limitMs },
        }),
      );
    await expectAnswered({ IPv4: [1], IPv6: [1] });
    // The flows that were refused are let in, the one that was let in ends.
    await dual.set(`listeners/${service.listener.id}`, { allowed_cidrs: cidrsOf(0, 2) });
    await expectAnswered({ IPv4: [0, 2], IPv6: [0, 2] });
  });

  test("the user's own groups hold for all VIPs [loadbalancer.vip_sg_ids, IPv4, IPv6]", async () => {
    const { api } = dual.system;
    for (const { id, allowed_cidrs } of await api.list('listeners')) {
      if (allowed_cidrs !== null) await api.set(`listeners/${id}`, { allowed_cidrs: null });
    }
    const { id: security_group_id } = await post('security-groups', 'security_group', { name: 'own' });
    for (const remote_ip_prefix of cidrsOf(2)) {
      const ethertype = remote_ip_prefix.includes(':') ? 'IPv6' : 'IPv4';
      await post('security-group-rules', 'security_group_rule', {
        ...{ security_group_id, remote_ip_prefix, ethertype, direction: 'ingress', protocol: 'tcp' },
        ...{ port_range_min: open.port, port_range_max: open.port },
      });
    }
    await dual.set(`loadbalancers/${dual.lb.id}`, { vip_sg_ids: [security_group_id] });
    await expectWeb(open, { IPv4: [2], IPv6: [2] });
    await expectWeb(limited, { IPv4: [], IPv6: [] });
    await dual.set(`loadbalancers/${dual.lb.id}`, { vip_sg_ids: [] });
    await expectWeb(open, everybody);
  });

  test("on a port of the user's the limits hold beside his groups, and go with the load balancer [listener.allowed_cidrs, loadbalancer.vip_port_id, IPv4, IPv6]", async () => {
    const { api, networks } = dual.system;
    const { id: group } = await post('security-groups', 'security_group', { name: 'all of TCP' });
    for (const ethertype of FAMILIES) {
      const rule = { security_group_id: group, ethertype, direction: 'ingress', protocol: 'tcp' };
      await post('security-group-rules', 'security_group_rule', rule);
    }
    const fixed_ips = FAMILIES.map(family => ({ subnet_id: dual.subnets[family].id }));
    const { network_id } = dual.subnets.IPv4;
    const port = await post('ports', 'port', { network_id, fixed_ips, security_groups: [group] });
    const members = [{ address: dual.gateway, protocol_port: member }];
    const default_pool = { name: 'pool', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', members };
    const lb = await api.create('loadbalancers', {
      ...{ vip_port_id: port.id, ...dualVip(dual.subnets) },
      listeners: [{ protocol: 'HTTP', protocol_port: 80, allowed_cidrs: cidrsOf(0), default_pool }],
    });
    await api.active(lb.id);
    const vips = vipsOf(lb);
    await expectWeb({ url: family => `http://${vips[family]}` }, { IPv4: [0], IPv6: [0] });
    await api.remove(`loadbalancers/${lb.id}?cascade=true`);
    await api.gone(lb.id);
    expect(await networks.bridge.store.findPort(port.id)).toMatchObject({
      limits: [],
      security_groups: [group],
    });
  });
});
