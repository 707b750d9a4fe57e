/** TLS from the load balancer to members: who is trusted, who we say we are, and what is spoken, with a real haproxy. */
import { createServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer as createTcpServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DualVip, FAMILIES, type Service } from './dual-vip.ts';
import { ask } from './http-client.ts';
import { titled, trafficObstacle } from './real-system.ts';
import { Authority, KeyManager, type Pair, type Seen, tell, tlsMember, visit } from './tls-parties.ts';

describe.skipIf(trafficObstacle)(titled('TLS to members'), () => {
  const made = new AsyncDisposableStack();
  let balancer: DualVip;
  let keys: KeyManager;
  let authority: Authority;
  let others: Authority;
  let own: Pair;
  let references: Record<'authorities' | 'others' | 'own' | 'revoked', string>;
  /** Ports by name; each asks for a certificate of ours. */
  const ports: Record<string, number> = {};

  /** What the member saw, or the status of the load balancer's own answer. */
  const outcomes = async (service: Service): Promise<(Seen | number)[]> =>
    Promise.all(
      FAMILIES.map(async family => {
        const { status, body } = await ask(service.url(family));
        return status === 200 ? JSON.parse(body) : status;
      }),
    );
  const both = (outcome: unknown) => [outcome, outcome];
  const change = (service: Service, body: object) => balancer.set(`pools/${service.pool.id}`, body);

  beforeAll(async () => {
    balancer = made.use(await DualVip.open());
    keys = new KeyManager(balancer.system.api.client);
    authority = await Authority.create('authority of members');
    others = await Authority.create('another authority');
    own = await authority.issue('load balancer');
    const revoked = await authority.issue('revoked', 'revoked.example');
    const options = { requestCert: true, ca: authority.pem, rejectUnauthorized: false };
    for (const [name, pair] of Object.entries({
      right: await authority.issue('right', 'right.example'),
      wrong: await others.issue('wrong', 'wrong.example'),
      revoked,
    }))
      ports[name] = await balancer.listen(tlsMember(name, { ...pair, ...options }));
    references = {
      authorities: await keys.secret(authority.pem),
      others: await keys.secret(others.pem),
      own: await keys.container(own),
      revoked: await keys.secret(await authority.revoke(revoked)),
    };
  });
  afterAll(() => made.disposeAsync());

  test('trusts whoever is trusted by the given authorities and not revoked, and nobody else [pool.tls_enabled, pool.ca_tls_container_ref, pool.crl_container_ref, IPv4, IPv6]', async () => {
    const services = new Map<string, Service>();
    for (const name of ['right', 'wrong', 'revoked'])
      services.set(
        name,
        await balancer.serve({ pool: { tls_enabled: true, name }, members: [ports[name]!] }),
      );
    await balancer.active();
    const names = async () => {
      const found = [...services].map(async ([name, service]) => [
        name,
        (await outcomes(service)).map(seen => (typeof seen === 'number' ? seen : seen.name)),
      ]);
      return Object.fromEntries(await Promise.all(found));
    };
    const anybody = { right: both('right'), wrong: both('wrong'), revoked: both('revoked') };
    expect(await names()).toEqual(anybody);
    const trusted = { ca_tls_container_ref: references.authorities };
    const crl = { crl_container_ref: references.revoked };
    for (const [name, service] of services)
      await balancer.system.api.set(`pools/${service.pool.id}`, {
        ...trusted,
        ...(name === 'revoked' && crl),
      });
    await balancer.active();
    expect(await names()).toEqual({ ...anybody, wrong: both(503), revoked: both(503) });
    // A session that was agreed on before is no way around it.
    await change(services.get('right')!, { ca_tls_container_ref: references.others });
    expect((await names()).right).toEqual(both(503));
  });

  test('shows its own certificate, also to members that come later, and a renewed one [pool.tls_container_ref, IPv4, IPv6]', async () => {
    const service = await balancer.serve({
      pool: { tls_enabled: true, tls_container_ref: references.own },
      members: [ports.right!],
    });
    await balancer.active();
    expect(await outcomes(service)).toMatchObject(both({ name: 'right', client: 'load balancer' }));
    const renewed = await keys.pkcs12(await authority.issue('renewed'));
    await change(service, { tls_container_ref: renewed });
    const later = await balancer.addMember(service.pool, ports.wrong!);
    await balancer.set(`pools/${service.pool.id}/members/${service.members[0]!.id}`, { weight: 0 });
    expect(await outcomes(service)).toMatchObject(both({ name: 'wrong', client: 'renewed' }));
    await balancer.system.api.remove(`pools/${service.pool.id}/members/${later.id}`);
    await balancer.active();
  });

  test('speaks the versions, ciphers and protocols that it is told to [pool.tls_versions=TLSv1, pool.tls_versions=TLSv1.1, pool.tls_versions=TLSv1.2, pool.tls_versions=TLSv1.3, pool.tls_ciphers, pool.alpn_protocols=http/1.0, pool.alpn_protocols=http/1.1, pool.alpn_protocols=h2, http2, IPv4, IPv6]', async () => {
    const pair = await authority.issue('both', 'both.example');
    const server = createSecureServer({
      ...pair,
      allowHTTP1: true,
      ALPNProtocols: ['h2', 'http/1.1', 'http/1.0'],
    });
    server.on('request', (message, response) => {
      const { alpnProtocol: alpn } = message.socket as { alpnProtocol?: string };
      const { httpVersion: version } = message;
      const tls = message.stream ? message.stream.session!.socket : message.socket;
      const socket = tls as import('node:tls').TLSSocket;
      const seen = { protocol: socket.getProtocol(), cipher: socket.getCipher().name, alpn, version };
      response.end(JSON.stringify({ ...seen, alpn: socket.alpnProtocol }));
    });
    const port = await balancer.listen(server as never);
    const service = await balancer.serve({ pool: { tls_enabled: true }, members: [port] });
    await balancer.active();
    // What the API stores by itself.
    expect(await outcomes(service)).toMatchObject(both({ protocol: 'TLSv1.3', alpn: 'h2', version: '2.0' }));
    await change(service, { tls_versions: ['TLSv1.2'], tls_ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' });
    const older = { protocol: 'TLSv1.2', cipher: 'ECDHE-ECDSA-AES128-GCM-SHA256' };
    expect(await outcomes(service)).toMatchObject(both(older));
    await change(service, { tls_versions: ['TLSv1.3'], tls_ciphers: 'TLS_CHACHA20_POLY1305_SHA256' });
    const young = { protocol: 'TLSv1.3', cipher: 'TLS_CHACHA20_POLY1305_SHA256' };
    expect(await outcomes(service)).toMatchObject(both(young));
    await change(service, { alpn_protocols: ['http/1.1'] });
    expect(await outcomes(service)).toMatchObject(both({ alpn: 'http/1.1', version: '1.1' }));
    const oldest = await balancer.listen(tlsMember('oldest', { ...pair, ALPNProtocols: ['http/1.0'] }));
    const other = await balancer.serve({
      pool: { tls_enabled: true, alpn_protocols: ['http/1.0'] },
      members: [oldest],
    });
    const insecure = { ...pair, minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    const insecurePort = await balancer.listen(tlsMember('insecure', insecure));
    const old = new Map<string, Service>();
    for (const version of ['TLSv1', 'TLSv1.1']) {
      const choice = { tls_versions: [version], tls_ciphers: 'DEFAULT:@SECLEVEL=0' };
      const pool = { tls_enabled: true, ...choice };
      old.set(version, await balancer.serve({ pool, members: [insecurePort] }));
    }
    await balancer.active();
    expect(await outcomes(other)).toMatchObject(both({ alpn: 'http/1.0' }));
    for (const [protocol, service] of old) expect(await outcomes(service)).toMatchObject(both({ protocol }));
  });

  test('lets members of a TCP pool speak what the client speaks [listener.protocol=TCP, pool.protocol=TCP, pool.tls_enabled, IPv4, IPv6]', async () => {
    const pair = await authority.issue('plain', 'plain.example');
    const chooser = createSecureServer({ ...pair, allowHTTP1: true });
    chooser.on('request', (message, response) =>
      response.end(JSON.stringify({ version: message.httpVersion })),
    );
    const port = await balancer.listen(chooser as never);
    const service = await balancer.serve({
      listener: { protocol: 'TCP' },
      pool: { protocol: 'TCP', tls_enabled: true },
      members: [port],
    });
    await balancer.active();
    expect(await outcomes(service)).toMatchObject(both({ version: '1.1' }));
  });

  test('checks members by the certificates that traffic is held to [healthmonitor.type=HTTPS, healthmonitor.type=TLS-HELLO, pool.ca_tls_container_ref]', async () => {
    const { api } = balancer.system;
    for (const type of ['HTTPS', 'TLS-HELLO']) {
      const service = await balancer.serve({
        pool: { name: `pool ${type}`, tls_enabled: true, ca_tls_container_ref: references.authorities },
        members: [],
      });
      for (const name of ['right', 'wrong'])
        await balancer.addMember(service.pool, ports[name]!, { name: `${name} ${type}` });
      await api.create('healthmonitors', {
        ...{ pool_id: service.pool.id, type, delay: 1, timeout: 1, max_retries: 1, max_retries_down: 1 },
      });
    }
    await balancer.active();
    await api.shows(balancer.lb.id, {
      ...{ 'right HTTPS': 'ONLINE', 'wrong HTTPS': 'ERROR' },
      ...{ 'right TLS-HELLO': 'ONLINE', 'wrong TLS-HELLO': 'ERROR' },
    });
  });

  test('tells members of the client behind a PROXY header of its name [listener.protocol=TERMINATED_HTTPS, pool.protocol=PROXYV2, IPv4, IPv6]', async () => {
    const told: string[] = [];
    const member = createTcpServer(socket => {
      socket.on('error', () => {});
      socket.once('data', bytes => {
        told.push(bytes.subarray(16, 16 + bytes.readUInt16BE(14)).toString('latin1'));
        socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
      });
    });
    const service = await balancer.serve({
      listener: {
        protocol: 'TERMINATED_HTTPS',
        ...{ default_tls_container_ref: references.own, client_authentication: 'MANDATORY' },
        client_ca_tls_container_ref: references.authorities,
      },
      pool: { protocol: 'PROXYV2' },
      members: [await balancer.listen(member)],
    });
    await balancer.active();
    const client = await authority.issue('a client');
    for (const family of FAMILIES) await visit(`https://${balancer.vips[family]}:${service.port}`, client);
    expect(told).toEqual(both(expect.stringContaining('a client')));
  });

  test('encrypts again what it has decrypted [listener.protocol=TERMINATED_HTTPS, pool.tls_enabled, IPv4, IPv6]', async () => {
    const plain = await balancer.listen(createServer(tell('plain')));
    const service = await balancer.serve({
      listener: { protocol: 'TERMINATED_HTTPS', default_tls_container_ref: references.own },
      pool: { tls_enabled: true, ca_tls_container_ref: references.authorities },
      members: [ports.right!],
    });
    await balancer.addMember(service.pool, plain, { backup: true });
    await balancer.active();
    for (const family of FAMILIES) {
      const url = `https://${balancer.vips[family]}:${service.port}`;
      const { seen } = await visit(url, { servername: 'right.example' });
      expect(seen).toMatchObject({ name: 'right', protocol: 'TLSv1.3' });
      // The member has no certificate for that name.
      expect((await visit(url, { servername: 'other.example' })).status).toBe(503);
    }
  });
});
