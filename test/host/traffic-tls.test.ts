/** TLS that a load balancer ends: certificates, client authentication, versions and what members are told, with a real haproxy. */
import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:http';
import { connect } from 'node:http2';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listAmphorae, settledHaproxy } from './amphora-processes.ts';
import { DualVip, FAMILIES, type Service } from './dual-vip.ts';
import { titled, trafficObstacle } from './real-system.ts';
import { Authority, KeyManager, type Pair, tell, type Visit, visit } from './tls-parties.ts';
import { until } from './until.ts';

const FAILOVER_LIMIT_MS = 90_000;
const OLD_TLS = { ciphers: 'DEFAULT@SECLEVEL=0' } as const;

/** `Nov 21 06:00:00 2026 GMT` as haproxy writes it. */
function asn1Time(text: string): string {
  const [, date, time] = /^\d\d(\d{2}-\d{2}-\d{2})T([\d:]{8})/.exec(new Date(text).toISOString())!;
  return `${date!.replaceAll('-', '')}${time!.replaceAll(':', '')}Z`;
}

describe.skipIf(trafficObstacle)(titled('a listener that ends TLS'), () => {
  const made = new AsyncDisposableStack();
  let balancer: DualVip;
  let keys: KeyManager;
  let authority: Authority;
  let members: number[];
  let main: Service;
  /** Answers that wait. */
  const slow: (() => void)[] = [];
  /** By name. */
  const pairs: Record<string, Pair> = {};
  const references: Record<string, string> = {};

  const listener = (more: object) => ({ protocol: 'TERMINATED_HTTPS', ...more });
  const urls = ({ port }: Service) => FAMILIES.map(family => `https://${balancer.vips[family]}:${port}`);
  const eachFamily = (service: Service, options?: object): Promise<Visit[]> =>
    Promise.all(urls(service).map(url => visit(url, options)));
  const change = async (service: Service, body: object) =>
    balancer.set(`listeners/${service.listener.id}`, body);
  const haproxyWorker = async () => {
    const { dataDir } = balancer.system;
    return (await settledHaproxy(dataDir, listAmphorae(dataDir)[0]!)).worker;
  };

  beforeAll(async () => {
    balancer = made.use(await DualVip.open());
    keys = new KeyManager(balancer.system.api.client);
    authority = await Authority.create('authority of clients and servers');
    for (const name of ['default', 'one', 'two', 'renewed', 'client', 'revoked'])
      pairs[name] = await authority.issue(name, `${name}.example`);
    references.default = await keys.container(pairs.default!);
    references.one = await keys.pkcs12(pairs.one!);
    references.two = await keys.secret(pairs.two!.cert + pairs.two!.key);
    references.authorities = await keys.secret(authority.pem);
    references.revoked = await keys.secret(await authority.revoke(pairs.revoked!));
    const member = createServer((message, response) => {
      const answer = () => tell('a')(message, response);
      if (message.url === '/slow') slow.push(answer);
      else answer();
    });
    members = [await balancer.listen(member)];
    main = await balancer.serve({
      listener: listener({
        default_tls_container_ref: references.default,
        sni_container_refs: [references.one, references.two],
      }),
      members,
    });
    await balancer.active();
  });
  afterAll(() => made.disposeAsync());

  test('shows the certificate for the name that the client asks for, else the default one [listener.protocol=TERMINATED_HTTPS, listener.default_tls_container_ref, listener.sni_container_refs, IPv4, IPv6]', async () => {
    for (const url of urls(main)) {
      expect(await visit(url)).toMatchObject({ commonName: 'default', status: 200, seen: { name: 'a' } });
      for (const name of ['one', 'two', 'default']) {
        const verified = { rejectUnauthorized: true, ca: authority.pem };
        const answer = await visit(url, { servername: `${name}.example`, ...verified });
        expect(answer).toMatchObject({ commonName: name, status: 200 });
      }
      expect(await visit(url, { servername: 'unknown.example' })).toMatchObject({ commonName: 'default' });
    }
  });

  test('asks clients for certificates, takes those of its authorities, and refuses the others and the revoked [listener.client_ca_tls_container_ref, listener.client_authentication=NONE, listener.client_authentication=OPTIONAL, listener.client_authentication=MANDATORY, listener.client_crl_container_ref, IPv4, IPv6]', async () => {
    const stranger = await (await Authority.create('authority of strangers')).issue('stranger');
    const client_ca_tls_container_ref = references.authorities;
    const service = await balancer.serve({
      listener: listener({
        ...{ default_tls_container_ref: references.one, client_ca_tls_container_ref },
        client_authentication: 'NONE',
        insert_headers: { 'X-SSL-Client-Has-Cert': 'true' },
      }),
      members,
    });
    await balancer.active();
    const outcomes = async () => {
      const clients = { nobody: {}, client: pairs.client, revoked: pairs.revoked, stranger };
      const seen: Record<string, string[]> = {};
      for (const [name, pair] of Object.entries(clients))
        seen[name] = await Promise.all(
          urls(service).map(url =>
            visit(url, pair).then(
              answer => `has ${answer.seen.headers['x-ssl-client-has-cert']}`,
              () => 'refused',
            ),
          ),
        );
      return seen;
    };
    const both = (outcome: string) => [outcome, outcome];
    const [without, having, refused] = [both('has 0'), both('has 1'), both('refused')];
    expect(await outcomes()).toEqual({
      ...{ nobody: without, client: without, revoked: without, stranger: without },
    });
    await change(service, { client_authentication: 'OPTIONAL' });
    const optional = { nobody: without, client: having, revoked: having, stranger: refused };
    expect(await outcomes()).toEqual(optional);
    await change(service, { client_crl_container_ref: references.revoked });
    expect(await outcomes()).toEqual({ ...optional, revoked: refused });
    await change(service, { client_authentication: 'MANDATORY' });
    expect(await outcomes()).toEqual({ ...optional, revoked: refused, nobody: refused });
    await change(service, { client_crl_container_ref: null });
    expect(await outcomes()).toEqual({ ...optional, nobody: refused });
  });

  const SSL_HEADERS = ['Verify', 'Has-Cert', 'DN', 'CN', 'SHA1', 'Not-Before', 'Not-After'];
  test(`tells members of the connection and of the client's certificate, and decides by it [listener.insert_headers=X-Forwarded-Proto, listener.insert_headers=X-SSL-Issuer, ${SSL_HEADERS.map(
    name => `listener.insert_headers=X-SSL-Client-${name}`,
  ).join(
    ', ',
  )}, l7rule.type=SSL_CONN_HAS_CERT, l7rule.type=SSL_VERIFY_RESULT, l7rule.type=SSL_DN_FIELD, IPv4, IPv6]`, async () => {
    const names = [...SSL_HEADERS.map(name => `X-SSL-Client-${name}`), 'X-SSL-Issuer', 'X-Forwarded-Proto'];
    const service = await balancer.serve({
      listener: listener({
        default_tls_container_ref: references.one,
        ...{ client_ca_tls_container_ref: references.authorities, client_authentication: 'OPTIONAL' },
        insert_headers: Object.fromEntries(names.map(name => [name, 'true'])),
      }),
      members,
    });
    const policy = async (code: number, ...rules: object[]) => {
      const { id } = await balancer.system.api.create('l7policies', {
        ...{ listener_id: service.listener.id, action: 'REDIRECT_TO_URL' },
        ...{ redirect_url: 'https://elsewhere.example/', redirect_http_code: code },
      });
      const path = { type: 'PATH', compare_type: 'EQUAL_TO', value: `/${code}` };
      for (const rule of [path, ...rules]) await balancer.system.api.create(`l7policies/${id}/rules`, rule);
    };
    const equal = { compare_type: 'EQUAL_TO' };
    await policy(301, { type: 'SSL_CONN_HAS_CERT', ...equal, value: 'True' });
    await policy(302, { type: 'SSL_DN_FIELD', ...equal, key: 'CN', value: 'client' });
    await policy(303, { type: 'SSL_CONN_HAS_CERT', ...equal, value: 'True', invert: true });
    await policy(307, { type: 'SSL_VERIFY_RESULT', ...equal, value: '0' });
    await policy(308, { type: 'SSL_VERIFY_RESULT', ...equal, value: '10' });
    await balancer.active();

    const { fingerprint, validFrom, validTo } = new X509Certificate(pairs.client!.cert);
    for (const url of urls(service)) {
      const forged = { 'x-ssl-client-cn': 'forged', 'x-forwarded-proto': 'http' };
      const { seen } = await visit(url, { ...pairs.client, headers: forged });
      expect(seen.headers).toMatchObject({
        'x-forwarded-proto': 'https',
        'x-ssl-client-verify': '0',
        'x-ssl-client-has-cert': '1',
        'x-ssl-client-dn': '/CN=client',
        'x-ssl-client-cn': 'client',
        'x-ssl-issuer': '/CN=authority of clients and servers',
        'x-ssl-client-sha1': fingerprint.replaceAll(':', ''),
        'x-ssl-client-not-before': asn1Time(validFrom),
        'x-ssl-client-not-after': asn1Time(validTo),
      });
      const nobody = await visit(url, { headers: forged });
      expect(nobody.seen.headers).toMatchObject({
        'x-ssl-client-has-cert': '0',
        'x-ssl-client-cn': '',
      });
      const statuses = async (options: object) =>
        Promise.all(
          [301, 302, 303, 307, 308].map(code => visit(`${url}/${code}`, options).then(v => v.status)),
        );
      expect(await statuses(pairs.client!)).toEqual([301, 302, 200, 307, 200]);
      expect(await statuses({})).toEqual([200, 200, 303, 307, 200]);
    }
  });

  test('speaks the TLS versions, ciphers and protocols that it is told to [listener.tls_versions=TLSv1.2, listener.tls_versions=TLSv1.3, listener.tls_ciphers, listener.alpn_protocols=http/1.0, listener.alpn_protocols=http/1.1, listener.alpn_protocols=h2, http2, IPv4, IPv6]', async () => {
    const service = await balancer.serve({
      listener: listener({ default_tls_container_ref: references.one }),
      members,
    });
    await balancer.active();
    const ALL = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
    /** Those of all versions that a client gets who speaks only this one. */
    const spoken = async () => {
      const found: string[][] = [];
      for (const url of urls(service)) {
        const tries = ALL.map(version =>
          visit(url, { minVersion: version, maxVersion: version, ...OLD_TLS }).then(
            answer => [answer.protocol],
            () => [],
          ),
        );
        found.push((await Promise.all(tries)).flat());
      }
      expect(found[0]).toEqual(found[1]);
      return found[0];
    };
    // What the API stores by itself.
    expect(await spoken()).toEqual(['TLSv1.2', 'TLSv1.3']);
    await change(service, { tls_versions: ['TLSv1.3'] });
    expect(await spoken()).toEqual(['TLSv1.3']);
    await change(service, { tls_versions: ['TLSv1.2'], tls_ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305' });
    expect(await spoken()).toEqual(['TLSv1.2']);
    for (const answer of await eachFamily(service))
      expect(answer.cipher).toBe('ECDHE-ECDSA-CHACHA20-POLY1305');
    await change(service, { tls_versions: ['TLSv1.3'], tls_ciphers: 'TLS_AES_128_GCM_SHA256' });
    for (const answer of await eachFamily(service)) expect(answer.cipher).toBe('TLS_AES_128_GCM_SHA256');

    const alpn = (protocols: string[]) =>
      eachFamily(service, { ALPNProtocols: protocols }).then(
        ([four, six]) => [four!.alpn, six!.alpn],
        (error: Error) => error.message,
      );
    await change(service, { alpn_protocols: ['http/1.1'] });
    expect(await alpn(['h2', 'http/1.1'])).toEqual(['http/1.1', 'http/1.1']);
    await change(service, { alpn_protocols: ['http/1.0'] });
    expect(await alpn(['http/1.0'])).toEqual(['http/1.0', 'http/1.0']);
    await change(service, { alpn_protocols: ['h2', 'http/1.1'] });
    for (const url of urls(service)) {
      const session = connect(url, { rejectUnauthorized: false });
      const stream = session.request({ ':path': '/over-http2' });
      let body = '';
      for await (const chunk of stream) body += chunk;
      expect(session.alpnProtocol).toBe('h2');
      expect(JSON.parse(body)).toMatchObject({ name: 'a', version: '1.1' });
      session.destroy();
    }
  });

  test('speaks what OpenSSL calls insecure only where it is asked to [listener.tls_versions=TLSv1, listener.tls_versions=TLSv1.1, IPv4, IPv6]', async () => {
    const service = await balancer.serve({
      listener: listener({
        default_tls_container_ref: references.one,
        ...{ tls_versions: ['TLSv1', 'TLSv1.1'], tls_ciphers: 'DEFAULT:@SECLEVEL=0' },
      }),
      members,
    });
    await balancer.active();
    for (const version of ['TLSv1', 'TLSv1.1'] as const) {
      const [four, six] = await eachFamily(service, { minVersion: version, maxVersion: version, ...OLD_TLS });
      expect([four!.protocol, six!.protocol]).toEqual([version, version]);
    }
    await expect(eachFamily(service, { minVersion: 'TLSv1.2' })).rejects.toThrow();
  });

  test('promises that the site is reached over TLS only [listener.hsts_max_age, listener.hsts_include_subdomains, listener.hsts_preload, IPv4, IPv6]', async () => {
    const service = await balancer.serve({
      listener: listener({ default_tls_container_ref: references.one, hsts_max_age: 600 }),
      members,
    });
    await balancer.active();
    const header = async () =>
      (await eachFamily(service)).map(({ headers }) => headers['strict-transport-security']);
    expect(await header()).toEqual(['max-age=600;', 'max-age=600;']);
    await change(service, { hsts_include_subdomains: true, hsts_preload: true });
    const whole = 'max-age=600; includeSubDomains; preload;';
    expect(await header()).toEqual([whole, whole]);
    await change(service, { hsts_max_age: null });
    expect(await header()).toEqual([undefined, undefined]);
  });

  test('changes certificates under running connections without a reload where none is missing meanwhile [listener.default_tls_container_ref, listener.sni_container_refs]', async () => {
    const before = await haproxyWorker();
    const [url] = urls(main);
    const names = async (...asked: string[]) =>
      Promise.all(asked.map(async name => (await visit(url!, { servername: `${name}.example` })).commonName));
    const download = visit(`${url}/slow`, { timeout: 120_000 });
    await until('the download to begin', () => slow.length === 1);
    const renewed = await keys.container(pairs.renewed!);

    await change(main, { default_tls_container_ref: renewed });
    expect(await names('unknown', 'one', 'two')).toEqual(['renewed', 'one', 'two']);
    await change(main, { sni_container_refs: [references.two] });
    expect(await names('unknown', 'one', 'two')).toEqual(['renewed', 'renewed', 'two']);
    await change(main, { sni_container_refs: [references.one, references.two, references.default] });
    expect(await names('unknown', 'one', 'two', 'default')).toEqual(['renewed', 'one', 'two', 'default']);
    expect(await haproxyWorker()).toBe(before);

    // One that is still wanted elsewhere would be missing for a moment: these are left to a reload.
    const again = await keys.secret(pairs.client!.cert + pairs.client!.key);
    await change(main, {
      default_tls_container_ref: again,
      sni_container_refs: [references.default, renewed],
    });
    expect(await names('unknown', 'one', 'renewed', 'default')).toEqual([
      'client',
      'client',
      'renewed',
      'default',
    ]);

    slow.pop()!();
    expect(await download).toMatchObject({ commonName: 'default', status: 200 });
    expect(await haproxyWorker()).not.toBe(before);
  });

  test('leaves out a listener whose certificate is gone, and serves it again when it is back; the others go on [listener.default_tls_container_ref, listener.protocol=TERMINATED_HTTPS]', {
    timeout: 240_000,
  }, async () => {
    const { api, dataDir } = balancer.system;
    const fragile = await keys.pkcs12(pairs.renewed!);
    const service = await balancer.serve({
      listener: listener({ default_tls_container_ref: fragile }),
      members,
    });
    const [url] = urls(service);
    await balancer.active();
    expect(await visit(url!)).toMatchObject({ commonName: 'renewed' });
    const secretId = fragile.split('/').at(-1)!;
    const setExpiration = (expiration: string | null) => {
      const database = new DatabaseSync(join(dataDir, 'ottavia.db'), { timeout: 5_000 });
      const statement = database.prepare('update secret set expiration = ? where id = ?');
      expect(statement.run(expiration, secretId).changes).toBe(1);
      database.close();
    };
    const statusOf = async () => (await api.show(`listeners/${service.listener.id}`)).provisioning_status;
    const consumers = () => api.client.request('GET', `key-manager/secrets/${secretId}/consumers`);

    setExpiration('2020-01-01T00:00:00.000000');
    // The amphora still has it.
    await change(service, { connection_limit: 1000 });
    await change(service, { admin_state_up: false });
    await change(service, { admin_state_up: true });
    expect([await statusOf(), (await visit(url!)).commonName]).toEqual(['ACTIVE', 'renewed']);

    // The next one never had it.
    await api.client.request('PUT', `lbaas/loadbalancers/${balancer.lb.id}/failover`);
    const { error_reason } = await api.active(balancer.lb.id, FAILOVER_LIMIT_MS);
    expect(error_reason).toContain(`listener ${service.listener.id} is not served`);
    expect(error_reason).toContain('no such secret');
    expect(await statusOf()).toBe('ERROR');
    await expect(visit(url!)).rejects.toThrow('ECONNREFUSED');
    expect((await eachFamily(main)).map(({ status }) => status)).toEqual([200, 200]);
    // Others are changed meanwhile.
    await change(main, { hsts_max_age: 5 });
    expect((await visit(urls(main)[0]!)).headers['strict-transport-security']).toBe('max-age=5;');

    setExpiration(null);
    await until(
      'the listener to be served again',
      async () => (await visit(url!)).commonName === 'renewed',
      undefined,
      FAILOVER_LIMIT_MS,
    );
    await until('its status', async () => (await statusOf()) === 'ACTIVE');
    expect((await balancer.active()).error_reason).toBeUndefined();
    expect(JSON.stringify(await consumers())).toContain(service.listener.id);
    await api.remove(`listeners/${service.listener.id}`);
    await balancer.active();
    expect(await consumers()).toMatchObject({ consumers: [] });
  });
});
