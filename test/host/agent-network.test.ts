/** Interfaces that the agent makes where the controller does not say everything, and what neighbours hear of IPv6 addresses. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AgentInstance, AMPHORA, MEMBER_MAC, VIP_MAC } from './agent-instance.ts';
import { hostTestsObstacle } from './host-state.ts';
import { until } from './until.ts';

const lacking = ['dhclient', 'dnsmasq'].find(program => !existsSync(`/usr/sbin/${program}`));
const VIP6 = 'fd00:66::100';
const PLUG = {
  ...{ subnet_cidr: 'fd00:66::/64', gateway: 'fd00:66::1', vrrp_ip: 'fd00:66::10', mac_address: VIP_MAC },
  additional_vips: [
    { ip_address: '10.66.0.100', subnet_cidr: '10.66.0.0/24', gateway: null, host_routes: [] },
  ],
};

const LB = 'fb5a1d6f-0a6e-4d0f-9f47-5d20a4d1a9e1';
const CONFIG = `global
    daemon
    stats socket /var/lib/octavia/${LB}.sock mode 0666 level user

frontend 51a7a2cb-1f0f-4a2c-8a53-8f6f2a0e7c11
    bind ${VIP6}:80
    mode http
    timeout client 5000
`;

const ELSEWHERE = '02:aa:00:00:00:77';
/** The neighbour remembers somebody else under the address. */
const knowElsewhere = (amphora: AgentInstance, address: string, state: 'stale' | 'reachable') =>
  amphora.inPeer(...`neigh replace ${address} lladdr ${ELSEWHERE} dev vip nud ${state}`.split(' '));

const remark = hostTestsObstacle ? ` (${hostTestsObstacle})` : '';

describe.skipIf(hostTestsObstacle)(`the agent of half of a pair${remark}`, () => {
  test.each([
    ['IPv4', '10.66.0.100', '10.66.0.10', '10.66.0.0/24', '10.66.0.2/24'],
    ['IPv6', VIP6, 'fd00:66::10', 'fd00:66::/64', 'fd00:66::1/64'],
  ])(
    'tells its %s address to whoever knew somebody else under it, and not the VIP',
    async (_, vip, own, cidr, neighbour) => {
      const amphora = new AgentInstance('ACTIVE_STANDBY');
      try {
        await amphora.build();
        await until('the agent to answer', async () => (await amphora.call('GET', '/')).status === 200);
        amphora.inPeer('address', 'add', neighbour, 'dev', 'vip', ...(own.includes(':') ? ['nodad'] : []));
        for (const address of [own, vip]) knowElsewhere(amphora, address, 'stale');
        const plug = { subnet_cidr: cidr, gateway: null, vrrp_ip: own, mac_address: VIP_MAC };
        expect((await amphora.call('POST', `/1.0/plug/vip/${vip}`, plug)).status).toBe(202);
        const known = () => amphora.inPeer('neigh', 'show', own);
        await until('the neighbour to know the new place', () => known().includes(VIP_MAC), known);
        expect(amphora.inPeer('neigh', 'show', vip)).toContain(ELSEWHERE);
      } finally {
        await amphora.remove();
      }
    },
  );
});

describe.skipIf(hostTestsObstacle)(`the agent's interfaces${remark}`, () => {
  let amphora: AgentInstance;
  let server: ChildProcess | undefined;
  const inner = (...words: string[]) => amphora.inside('ip', '-n', 'amphora-haproxy', ...words);
  const plug = async (path: string, body: object) => {
    const reply = await amphora.call('POST', `/1.0/plug/${path}`, body);
    expect(reply.body).toContain('"OK"');
  };

  beforeAll(async () => {
    amphora = new AgentInstance();
    await amphora.build();
    await until('the agent to answer', async () => (await amphora.call('GET', '/')).status === 200);
    for (const [link, address] of [
      ['vip', 'fd00:66::1/64'],
      ['member', 'fd00:67::1/64'],
    ] as const) {
      amphora.inPeer('address', 'add', address, 'dev', link, 'nodad');
    }
  });
  afterAll(async () => {
    if (server && server.exitCode === null) {
      server.kill('SIGKILL');
      await once(server, 'exit');
    }
    await amphora?.remove();
  });

  test('a neighbour that knew somebody else under an IPv6 VIP hears of its move when haproxy serves it', async () => {
    knowElsewhere(amphora, VIP6, 'reachable');
    await plug(`vip/${VIP6}`, PLUG);
    const known = () => amphora.inPeer('neigh', 'show', VIP6);
    expect(known()).not.toContain(VIP_MAC);
    await amphora.call('PUT', `/1.0/loadbalancer/${AMPHORA}/${LB}/haproxy`, CONFIG);
    expect((await amphora.call('PUT', `/1.0/loadbalancer/${LB}/start`)).status).toBe(202);
    await until('the neighbour to know the new place', () => known().includes(VIP_MAC), known);
  });

  test('answers from VIPs of both versions have routes of their own; connections to members do not come from them', () => {
    for (const [flag, vip, gateway] of [
      ['-4', '10.66.0.100', ''],
      ['-6', VIP6, 'fd00:66::1'],
    ] as const) {
      expect(inner(flag, 'rule', 'show')).toContain(`from ${vip} lookup 1`);
      expect(inner(flag, 'route', 'show', 'table', '1')).toContain(gateway && `default via ${gateway}`);
    }
    expect(inner('route', 'get', 'fd00:66::77')).toContain('src fd00:66::10');
  });

  test('more addresses on the VIP port leave all VIPs and their routes as they are', async () => {
    const shown = () => [inner('-br', 'address', 'show', 'eth1'), inner('-6', 'rule'), inner('-4', 'rule')];
    const before = shown();
    const extra = {
      ip_address: 'fd00:68::10',
      subnet_cidr: 'fd00:68::/64',
      gateway: 'fd00:68::1',
      host_routes: [],
    };
    const vip_net_info = { ...PLUG, vip: VIP6 };
    await plug('network', { mac_address: VIP_MAC, fixed_ips: [extra], vip_net_info });
    expect(inner('-br', 'address', 'show', 'eth1')).toContain('fd00:68::10/64');
    expect(inner('-6', 'route', 'show', 'default')).toMatch(
      /^default via fd00:66::1 .*src fd00:66::10 [^\n]*\n?$/,
    );
    await plug('network', { mac_address: VIP_MAC, fixed_ips: [], vip_net_info });
    expect(shown()).toEqual(before);
  });

  test.skipIf(lacking)(
    `a port of which nothing is said takes what DHCP and router advertisements give${lacking ? ` (needs ${lacking}: scripts/setup --tests)` : ''}`,
    async () => {
      const options = [
        '--conf-file=/dev/null',
        '--port=0',
        '--bind-interfaces',
        '--interface=member',
        '--enable-ra',
      ];
      const ranges = ['--dhcp-range=10.67.0.50,10.67.0.59,1h', '--dhcp-range=fd00:67::,ra-only'];
      const files = ['--dhcp-leasefile=/dev/null', '--pid-file'];
      const command = [
        'netns',
        'exec',
        amphora.peer,
        'dnsmasq',
        '--no-daemon',
        ...options,
        ...ranges,
        ...files,
      ];
      server = spawn('ip', command, { stdio: ['ignore', 'ignore', 'pipe'] });
      let said = '';
      server.stderr!.on('data', chunk => {
        said += chunk;
      });
      // Who asks before that asks again only some seconds later.
      await until(
        'dnsmasq to listen',
        () => said.includes('started'),
        () => said,
      );
      await plug('network', { mac_address: MEMBER_MAC });
      await until(
        'an address of each version',
        () => /10\.67\.0\.5\d\/24.* fd00:67::[0-9a-f:]+\/64/.test(inner('-br', 'address', 'show', 'eth2')),
        () => inner('-br', 'address', 'show', 'eth2'),
      );
      const before = inner('-br', 'address', 'show', 'eth2');
      await plug('network', { mac_address: MEMBER_MAC });
      expect(inner('-br', 'address', 'show', 'eth2')).toBe(before);
      expect(amphora.processes('dhclient')).toHaveLength(1);
    },
  );
});
