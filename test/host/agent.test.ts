/** The bundled agent in an instance of its own: its API over mutual TLS, and traffic through a real haproxy meanwhile. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ask } from '../../src/agent/haproxy/socket.ts';
import { NODE_IN_INSTANCE } from '../../src/drivers/compute/instance-init.ts';
import { findInit } from '../../src/drivers/compute/instance-processes.ts';
import { AgentInstance, AMPHORA, MEMBER_MAC, VIP, VIP_MAC } from './agent-instance.ts';
import { hostTestsObstacle } from './host-state.ts';

const LB = '00000000-0000-4000-8000-0000000000b1';
const LISTENER = '00000000-0000-4000-8000-00000000015a';
const POOL = '00000000-0000-4000-8000-00000000900f';
const URL = `http://${VIP}/`;

const member = (port: number, rest = 'weight 1 check inter 1s fall 2 rise 2') =>
  `server member-${port} 10.66.0.1:${port} ${rest}`;
const config = (members: string[], clientTimeoutMs = 50_000) => `# Configuration for loadbalancer ${LB}
global
    daemon
    user nobody
    log /run/rsyslog/octavia/log local0
    stats socket /var/lib/octavia/${LB}.sock mode 0666 level user
    server-state-file /var/lib/octavia/${LB}/servers-state
    maxconn 2000

defaults
    no log
    retries 3
    option redispatch
    option http-keep-alive

frontend ${LISTENER}
    maxconn 2000
    bind ${VIP}:80
    mode http
    default_backend ${POOL}:${LISTENER}
    timeout client ${clientTimeoutMs}

backend ${POOL}:${LISTENER}
    mode http
    http-reuse safe
    balance roundrobin
    load-server-state-from-file global
    timeout check 1s
    option httpchk GET /
    http-check expect rstatus 200
    fullconn 2000
    option allbackups
    timeout connect 5000
    timeout server 50000
${members.map(each => `    ${each}\n`).join('')}`;

const until = <T>(assertion: () => T | Promise<T>) =>
  vi.waitFor(assertion, { timeout: 15_000, interval: 20 });
const md5 = (text: string) => createHash('md5').update(text).digest('hex');

describe.skipIf(hostTestsObstacle !== undefined)(
  `the agent${hostTestsObstacle ? `: ${hostTestsObstacle}` : ''}`,
  () => {
    let amphora: AgentInstance;
    const call: AgentInstance['call'] = (...args) => amphora.call(...args);
    const upload = (text: string) => call('PUT', `/1.0/loadbalancer/${AMPHORA}/${LB}/haproxy`, text);
    const act = (action: string) => call('PUT', `/1.0/loadbalancer/${LB}/${action}`);
    const master = () => amphora.processes('haproxy', '-W').length;
    /** The worker that serves; it changes with every reload and with nothing else. */
    const worker = () => /Pid: (\d+)/.exec(askAdmin('show info'))![1];
    const askAdmin = (command: string) =>
      amphora.inside(NODE_IN_INSTANCE, '-e', ASK, `/var/lib/octavia/${LB}/agent.sock`, command);
    const apply = async (text: string) => {
      expect((await upload(text)).status).toBe(202);
      expect(await act('reload')).toMatchObject({ status: 202 });
    };
    const lastHeartbeat = () => amphora.heartbeats.at(-1);

    beforeAll(async () => {
      amphora = new AgentInstance();
      await amphora.build();
    });
    afterAll(async () => {
      await amphora?.remove();
    });

    test('answers its version at / and at //, soon after it was started', async () => {
      const reply = await until(() => call('GET', '//'));
      expect(reply).toMatchObject({ status: 200, json: { api_version: '1.0' } });
      expect((await call('GET', '/')).json).toEqual({ api_version: '1.0' });
    });

    test('refuses whoever shows no client certificate', async () => {
      await expect(call('GET', '/1.0/info', undefined, 'nothing')).rejects.toThrow(
        /ECONNRESET|EPIPE|hang up|alert|certificate/i,
      );
    });

    test('tells who it is', async () => {
      const { json } = await call('GET', '/1.0/info');
      expect(json).toMatchObject({ hostname: 'agent-test', api_version: '1.0' });
      expect(json.haproxy_version).toMatch(/^2\.6\./);
      const details = (await call('GET', '/1.0/details')).json;
      expect(details).toMatchObject({
        active: true,
        haproxy_count: 0,
        topology: 'SINGLE',
        listeners: [],
        packages: {},
      });
      expect(details.memory.total).toBeGreaterThan(100_000);
      expect(details.cpu.user).toMatch(/^\d+$/);
      expect(details.load).toHaveLength(3);
    });

    test.each([
      ['GET', '/1.0/nothing', 404],
      ['DELETE', '/1.0/info', 405],
      ['PUT', `/1.0/loadbalancer/${LB}/explode`, 400],
      ['PUT', `/1.0/loadbalancer/${LB}/reload`, 404],
      ['GET', `/1.0/loadbalancer/${LB}/haproxy`, 404],
      ['GET', '/1.0/interface/nonsense', 400],
      ['GET', '/1.0/interface/10.66.0.77', 404],
      ['PUT', `/1.0/loadbalancer/${LB}/certificates/wrong.txt`, 400],
      ['PUT', `/1.0/loadbalancer/${LB}/certificates/..%2F..%2Fx.pem`, 400],
      ['PUT', '/1.0/loadbalancer/..%2F..%2Fetc/certificates/abc.pem', 404],
      ['POST', '/1.0/plug/network', 400],
    ])('answers %s %s with JSON and %i', async (method, path, status) => {
      const reply = await call(method, path, method === 'GET' ? undefined : '');
      expect(reply.status).toBe(status);
      expect(reply.json).toBeTypeOf('object');
    });

    test('asks a controller to come again for a port that is not there yet', async () => {
      const plug = { subnet_cidr: '10.66.0.0/24', gateway: null, mac_address: '02:aa:00:00:00:99' };
      const reply = await call('POST', `/1.0/plug/vip/${VIP}`, plug);
      expect(reply).toMatchObject({ status: 404, json: { details: 'No suitable network interface found' } });
    });

    test('plugs the VIP, tells nobody yet, and refuses to do so twice', async () => {
      // A neighbour that believes what it is told without having asked.
      amphora.inPeerWrite('net/ipv4/conf/vip/arp_accept', '1');
      const plug = {
        subnet_cidr: '10.66.0.0/24',
        gateway: '10.66.0.1',
        mac_address: VIP_MAC,
        vrrp_ip: '10.66.0.10',
        mtu: 1400,
        host_routes: [{ destination: '10.99.0.0/16', nexthop: '10.66.0.1' }],
      };
      const reply = await call('POST', `/1.0/plug/vip/${VIP}`, plug);
      expect(reply).toMatchObject({
        status: 202,
        json: { details: `VIPs plugged on interface eth1: ${VIP}` },
      });
      expect((await call('POST', `/1.0/plug/vip/${VIP}`, plug)).status).toBe(409);
      expect((await call('GET', `/1.0/interface/${VIP}`)).json).toEqual({ message: 'OK', interface: 'eth1' });
      const inner = (...words: string[]) => amphora.inside('ip', '-n', 'amphora-haproxy', ...words);
      expect(inner('-br', 'addr', 'show', 'eth1')).toMatch(/10\.66\.0\.10\/24.*10\.66\.0\.100\/32/);
      expect(inner('link', 'show', 'eth1')).toContain('mtu 1400');
      expect(inner('route', 'show')).toMatch(/default via 10\.66\.0\.1 dev eth1/);
      expect(inner('route', 'show')).toContain('10.99.0.0/16 via 10.66.0.1');
      expect(inner('route', 'show', 'table', '1')).toMatch(/10\.66\.0\.0\/24.*src 10\.66\.0\.100/);
      expect(inner('rule', 'show')).toContain(`from ${VIP} lookup 1`);
      expect(amphora.inside('cat', '/var/lib/octavia/plugged_interfaces')).toBe(`${VIP_MAC} eth1\n`);
      expect(amphora.inPeer('neigh', 'show', 'dev', 'vip')).not.toContain(VIP);
    });

    test('plugs a member network, and updates it when asked again', async () => {
      const fixed_ips = [
        { ip_address: '10.67.0.10', subnet_cidr: '10.67.0.0/24', host_routes: [], gateway: '10.67.0.1' },
      ];
      const plug = { mac_address: MEMBER_MAC, fixed_ips };
      const first = await call('POST', '/1.0/plug/network', plug);
      expect(first).toMatchObject({ status: 202, json: { details: 'Plugged on interface eth2' } });
      fixed_ips.push({ ...fixed_ips[0]!, ip_address: '10.67.0.11' });
      const second = await call('POST', '/1.0/plug/network', plug);
      expect(second).toMatchObject({ status: 202, json: { details: 'Updated existing interface eth2' } });
      fixed_ips.shift();
      await call('POST', '/1.0/plug/network', plug);
      const shown = amphora.inside('ip', '-n', 'amphora-haproxy', '-br', 'addr', 'show', 'eth2');
      expect(shown).toContain('10.67.0.11/24');
      expect(shown).not.toContain('10.67.0.10/24');
      expect(Object.keys((await call('GET', '/1.0/details')).json.networks)).toEqual(['eth1', 'eth2']);
    });

    test('serves traffic once a configuration was uploaded and started', async () => {
      await amphora.serve(8001, 8002, 8003);
      const text = config([member(8001), member(8002)]);
      const reply = await upload(text);
      expect(reply).toMatchObject({ status: 202, json: { message: 'OK' }, etag: md5(text) });
      expect(master()).toBe(0);
      expect(await act('start')).toMatchObject({
        status: 202,
        json: { details: `Configuration file is valid\nhaproxy daemon for ${LB} started` },
      });
      await until(() =>
        expect(amphora.inPeer('neigh', 'show', 'dev', 'vip')).toContain(`${VIP} lladdr ${VIP_MAC}`),
      );
      expect([amphora.fetch(URL), amphora.fetch(URL)].sort()).toEqual(['8001', '8002']);
      expect((await call('GET', `/1.0/loadbalancer/${LB}/haproxy`)).body).toBe(text);
      const listeners = await call('GET', '/1.0/listeners');
      expect(listeners.json).toEqual([{ status: 'ACTIVE', uuid: LISTENER, type: 'HTTP' }]);
      expect((await call('GET', '/1.0/details')).json).toMatchObject({
        haproxy_count: 1,
        listeners: [LISTENER],
      });
    });

    test('reports members in heartbeats, and counts each request once', async () => {
      await until(() => {
        const heartbeat = lastHeartbeat()!;
        expect(heartbeat).toMatchObject({ id: AMPHORA, ver: 3 });
        expect(heartbeat.listeners.get(LISTENER)?.status).toBe('OPEN');
        const pool = heartbeat.pools.get(POOL)!;
        expect(pool.status).toBe('UP');
        expect([...pool.members.keys()].sort()).toEqual(['member-8001', 'member-8002']);
        const total = amphora.heartbeats.reduce(
          (sum, h) => sum + (h.listeners.get(LISTENER)?.stats.totconns ?? 0),
          0,
        );
        expect(total).toBe(2);
      });
    });

    test('adds, drains and removes members under load over the runtime socket: no reload, no failed request', async () => {
      const before = worker();
      const loads = [await amphora.load(URL), await amphora.load(URL, true)];
      await apply(config([member(8001), member(8002), member(8003)]));
      await until(() => expect(amphora.fetch(URL)).toBe('8003'));
      await apply(
        config([member(8001, 'weight 0 check inter 1s fall 2 rise 2'), member(8002), member(8003)]),
      );
      await until(() => expect(lastHeartbeat()?.pools.get(POOL)?.members.get('member-8001')).toBe('DRAIN'));
      await apply(config([member(8002, 'weight 3 check inter 1s fall 2 rise 2'), member(8003)]));
      await apply(config([member(8002, 'weight 3 check inter 1s fall 2 rise 2 disabled'), member(8003)]));
      await until(() => expect(lastHeartbeat()?.pools.get(POOL)?.members.get('member-8002')).toBe('MAINT'));
      await apply(config([member(8003)]));
      await apply(config([member(8003), member(8001)]));
      for (const load of loads) {
        const { counts, failures } = await load.stop();
        expect(failures).toEqual([]);
        expect(counts['8003']).toBeGreaterThan(0);
      }
      expect(worker()).toBe(before);
    });

    test('adds servers at run time with every option that the plan lets through', async () => {
      const before = worker();
      const options = [
        'send-proxy',
        'send-proxy-v2 backup',
        'check inter 1s fall 2 rise 2 addr 10.66.0.1 port 8002',
      ];
      const added = options.map((each, i) => `server option-${i} 10.66.0.1:8001 weight 0 ${each}`);
      await apply(config([member(8003), member(8001), ...added]));
      expect(askAdmin('show servers state').match(/option-\d/g)).toHaveLength(options.length);
      await apply(config([member(8003), member(8001)]));
      expect(worker()).toBe(before);
    });

    test('reloads under load where it must, with no failed request, and the servers are as the file says', async () => {
      const before = worker();
      const load = await amphora.load(URL);
      for (const timeoutMs of [40_000, 41_000, 42_000])
        await apply(config([member(8003), member(8001)], timeoutMs));
      const { counts, failures } = await load.stop();
      expect(failures).toEqual([]);
      expect(Object.keys(counts).sort()).toEqual(['8001', '8003']);
      expect(worker()).not.toBe(before);
      const servers = askAdmin('show servers state')
        .split('\n')
        .filter(line => line.includes('member-'));
      expect(servers).toHaveLength(2);
    });

    test('refuses a configuration with the words of haproxy, and the old one runs on', async () => {
      const before = worker();
      const reply = await upload(config(['servr nonsense']));
      expect(reply).toMatchObject({ status: 400, json: { message: 'Invalid request' } });
      expect(reply.json.details).toContain("unknown keyword 'servr'");
      expect(amphora.fetch(URL)).toMatch(/^800[13]$/);
      expect((await act('reload')).status).toBe(202);
      expect(worker()).toBe(before);
      expect(amphora.inside('ls', `/var/lib/octavia/${LB}`)).toContain('haproxy.cfg.new-failed');
    });

    test('says at once when a member goes down', async () => {
      await apply(config([member(8003), 'server gone 10.66.0.1:9 weight 1 check inter 100ms fall 1 rise 1']));
      await until(() => expect(lastHeartbeat()?.pools.get(POOL)?.members.get('gone')).toMatch(/^DOWN/));
      await apply(config([member(8003)]));
    });

    test('keeps certificates in files of their own, named and hashed as they came', async () => {
      const path = `/1.0/loadbalancer/${LB}/certificates/${'a'.repeat(40)}.pem`;
      expect(await call('PUT', path, 'a certificate\n')).toMatchObject({
        status: 200,
        etag: md5('a certificate\n'),
      });
      expect((await call('GET', path)).json).toEqual({ md5sum: md5('a certificate\n') });
      const file = `/var/lib/octavia/certs/${LB}/${'a'.repeat(40)}.pem`;
      expect(amphora.inside('stat', '-c', '%a', file).trim()).toBe('600');
      expect((await call('DELETE', path)).status).toBe(200);
      expect((await call('DELETE', path)).status).toBe(200);
      expect((await call('GET', path)).status).toBe(404);
      // No line of the configuration names it.
      const before = worker();
      await apply(config([member(8003)]));
      expect(worker()).toBe(before);
    });

    test('shows its new certificate to the next connection', async () => {
      const before = await amphora.shownSerial();
      expect((await call('PUT', '/1.0/certificate', 'no certificate')).status).toBe(400);
      expect(await amphora.shownSerial()).toBe(before);
      expect((await call('PUT', '/1.0/certificate', await amphora.serverPem())).status).toBe(202);
      expect(await amphora.shownSerial()).not.toBe(before);
    });

    test('signs heartbeats with a new key as soon as it was told', async () => {
      const seen = amphora.heartbeats.length;
      expect((await call('PUT', '/1.0/config', 'no configuration')).status).toBe(500);
      expect((await call('PUT', '/1.0/config', amphora.config('a key nobody knows'))).status).toBe(202);
      expect((await call('PUT', '/1.0/config', amphora.config('another key'))).status).toBe(202);
      await until(() => expect(amphora.heartbeats.length).toBeGreaterThan(seen));
    });

    test('ends sessions of a member that is gone in time, as soon as it was told what time they have', async () => {
      await apply(config([member(8001), member(8002), member(8003)]));
      const settings = amphora.config('another key');
      const more = settings.replace('[health_manager]', 'member_drain_timeout = 1\n[health_manager]');
      expect((await call('PUT', '/1.0/config', more)).status).toBe(202);
      // Longer than it takes to see them, to apply the change, and to end them, on a busy machine too.
      const load = await amphora.load(`${URL}slow/6000`);
      await until(() => expect(Number(lastHeartbeat()?.listeners.get(LISTENER)?.stats.conns)).toBe(4));
      await apply(config([member(8002), member(8003)]));
      const { counts, failures } = await load.stop();
      // Clients are told, and do not find out by waiting in vain.
      expect(failures.length).toBeGreaterThan(0);
      expect(failures).not.toContain('timeout');
      expect(counts['8001']).toBeUndefined();
      expect((counts['8002'] ?? 0) + (counts['8003'] ?? 0)).toBeGreaterThan(0);
      expect((await call('PUT', '/1.0/config', settings)).status).toBe(202);
      await apply(config([member(8003)]));
    });

    test('loads packet filter rules', async () => {
      const rules = [
        { protocol: 'TCP', cidr: null, port: 80 },
        { protocol: 'VRRP', cidr: '10.66.0.11/32', port: 112 },
      ];
      expect((await call('PUT', `/1.0/interface/${VIP}/rules`, [{ protocol: 'TCP' }])).status).toBe(400);
      expect((await call('PUT', `/1.0/interface/${VIP}/rules`, rules)).status).toBe(200);
      const loaded = amphora.inside('ip', 'netns', 'exec', 'amphora-haproxy', 'nft', 'list', 'ruleset');
      expect(loaded).toContain('tcp dport 80 accept');
      expect(amphora.fetch(URL)).toBe('8003');
      amphora.inside('ip', 'netns', 'exec', 'amphora-haproxy', 'nft', 'flush', 'ruleset');
    });

    test('lets clients in that it held back when it was killed in the middle of a reload', async () => {
      const init = findInit(amphora.directory)!.pid;
      const socket = `/proc/${init}/root/var/lib/octavia/${LB}/agent.sock`;
      await ask(socket, 'set rate-limit connections global 1');
      expect(await ask(socket, 'show info')).toMatch(/^ConnRateLimit: 1$/m);
      process.kill(amphora.processes('/opt/ottavia/agent.mjs')[0]!, 'SIGKILL');
      await until(async () => expect(await ask(socket, 'show info')).toMatch(/^ConnRateLimit: 0$/m));
    });

    test('is started again when it is killed, and traffic does not notice', async () => {
      await until(async () => expect((await call('GET', '/1.0/info')).status).toBe(200));
      const before = worker();
      const load = await amphora.load(URL);
      const [agent] = amphora.processes('/opt/ottavia/agent.mjs');
      process.kill(agent!, 'SIGKILL');
      await until(async () => {
        expect(amphora.processes('/opt/ottavia/agent.mjs')).not.toContain(agent);
        expect((await call('GET', '/1.0/info')).status).toBe(200);
      });
      await apply(config([member(8003), member(8002)]));
      const { failures } = await load.stop();
      expect(failures).toEqual([]);
      expect(worker()).toBe(before);
    });

    test('starts haproxy again when it is killed', async () => {
      const [pid] = amphora.processes('/usr/sbin/haproxy', '-W');
      const before = worker();
      process.kill(pid!, 'SIGKILL');
      // The worker of the dead one answers clients for a moment still.
      await until(() => expect(worker()).not.toBe(before));
      await until(() => expect(amphora.fetch(URL)).toMatch(/^800[23]$/));
      const { applied } = (await act('reload')).json;
      expect([applied.how, applied.changes.last[0].reason]).toEqual(['nothing', 'it was gone']);
      expect((await act('stop')).json.details).toBe(`Listener ${LB} stoped`);
      expect(amphora.processes('/usr/sbin/haproxy')).toEqual([]);
      expect((await act('start')).status).toBe(202);
    });

    test('brings up all of it by itself after a reboot', async () => {
      await apply(config([member(8003), member(8002)]));
      await amphora.reboot();
      await until(() => expect(amphora.fetch(URL)).toMatch(/^800[23]$/));
      const inner = amphora.inside('ip', '-n', 'amphora-haproxy', '-br', 'addr');
      expect(inner).toMatch(/eth1.*10\.66\.0\.10\/24.*10\.66\.0\.100\/32/);
      expect(inner).toMatch(/eth2.*10\.67\.0\.11\/24/);
    });

    test('runs keepalived, and is silent while a keepalived that should run is dead', async () => {
      const text = (address: string) => `vrrp_instance test {
    interface eth2
    virtual_router_id 7
    priority 100
    advert_int 1
    virtual_ipaddress {
      ${address}
    }
}
`;
      const held = () => amphora.inside('ip', '-n', 'amphora-haproxy', '-br', 'addr', 'show', 'eth2');
      const pair = amphora.config().replace('SINGLE', 'ACTIVE_STANDBY');
      await call('PUT', '/1.0/config', pair);
      expect(await call('PUT', '/1.0/vrrp/upload', text('10.67.0.50'))).toMatchObject({
        status: 200,
        etag: md5(text('10.67.0.50')),
      });
      expect((await call('PUT', '/1.0/vrrp/start')).json).toEqual({
        message: 'OK',
        details: 'keepalived started',
      });
      await until(() => expect(held()).toContain('10.67.0.50/32'));
      const before = amphora.processes('keepalived').length;
      await call('PUT', '/1.0/vrrp/upload', text('10.67.0.51'));
      expect((await call('PUT', '/1.0/vrrp/start')).status).toBe(202);
      await until(() => expect(held()).toMatch(/^(?!.*10\.67\.0\.50).*10\.67\.0\.51\/32/));
      expect(amphora.processes('keepalived')).toHaveLength(before);
      expect(amphora.inside('/var/lib/octavia/vrrp/check_script.sh')).toBe('');
      expect((await call('PUT', '/1.0/vrrp/stop')).json.details).toBe('keepalived stoped');
      expect(amphora.processes('keepalived')).toEqual([]);
      expect(held()).not.toContain('10.67.0.51');
      const seen = amphora.heartbeats.length;
      await call('PUT', '/1.0/config', pair);
      await apply(config([member(8003)]));
      expect(amphora.heartbeats).toHaveLength(seen);
      amphora.inside('rm', '-r', '/var/lib/octavia/vrrp');
      await call('PUT', '/1.0/config', amphora.config());
    });

    test('ends up with what the last configuration says, whichever way it went there', async () => {
      const random = mulberry(20_261_122);
      const pick = <T>(...items: T[]): T => items[Math.floor(random() * items.length)]!;
      const ways: Record<string, number> = {};
      let servers = new Map<string, string>();
      for (let step = 0; step < 40; step++) {
        servers = new Map(servers);
        const id = `member-${pick(1, 2, 3, 4)}`;
        const rest = `${pick('', ' check inter 1s fall 2 rise 2')}${pick('', '', ' backup')}${pick('', '', ' disabled')}`;
        if (random() < 0.3) servers.delete(id);
        else servers.set(id, `server ${id} 10.66.0.1:${pick(8001, 8002)} weight ${pick(0, 1, 5)}${rest}`);
        const before = worker();
        await apply(config([...servers.values()], pick(50_000, 50_000, 50_000, 60_000)));
        const way = worker() === before ? 'runtime' : 'reload';
        ways[way] = (ways[way] ?? 0) + 1;
      }
      await until(() => expect(runningServers()).toEqual(expectedServers(servers.values())));
      console.log(`random walk: ${JSON.stringify(ways)}`);
      expect(ways.runtime).toBeGreaterThan(5);
      expect(ways.reload).toBeGreaterThan(5);
    });

    test('answers soon after its start', async () => {
      const times: number[] = [];
      for (let i = 0; i < 5; i++) times.push(Math.round(await amphora.timeStart()));
      console.log(`agent start to first answer over mutual TLS: ${times.join(', ')} ms`);
      expect(Math.min(...times)).toBeLessThan(500);
    });

    /** As `name address:port weight in-maintenance`. */
    const runningServers = () => {
      const [, head, ...lines] = askAdmin('show servers state').trim().split('\n');
      const names = head!.slice(2).split(' ');
      const rows = lines
        .map(line => line.split(' '))
        .map(words => (name: string) => words[names.indexOf(name)]!);
      return rows
        .map(row => {
          // Forced maintenance is bit 1; a server disabled in the file has it as well.
          const isOff = (Number(row('srv_admin_state')) & 1) === 1;
          return `${row('srv_name')} ${row('srv_addr')}:${row('srv_port')} ${row('srv_uweight')} ${isOff}`;
        })
        .sort();
    };
    const expectedServers = (lines: Iterable<string>) =>
      [...lines]
        .map(line => {
          const [, name, address, , weight] = line.split(' ');
          return `${name} ${address} ${weight} ${line.includes('disabled')}`;
        })
        .sort();

    test('leaves nothing of a load balancer that is deleted', async () => {
      expect((await call('DELETE', `/1.0/listeners/${LB}`)).status).toBe(200);
      expect((await call('DELETE', `/1.0/listeners/${LB}`)).status).toBe(200);
      expect(amphora.processes('/usr/sbin/haproxy')).toEqual([]);
      expect(amphora.inside('find', '/var/lib/octavia', '-name', `${LB}*`)).toBe('');
      expect((await call('GET', '/1.0/listeners')).json).toEqual([]);
      await until(() => expect(lastHeartbeat()?.listeners.size).toBe(0));
    });
  },
);

const ASK = `const s = require('node:net').connect(process.argv[1]); s.pipe(process.stdout); s.end(process.argv[2] + '\\n')`;

/** A small seeded generator of numbers in [0, 1). */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
