import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { errorChain, TerminalError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import type { Amphora } from '../../model/amphora.ts';
import { buildGraph, idOf } from '../../model/graph.fixture.ts';
import { LocalAuthority } from '../certificates/local.ts';
import type { AmphoraConfig } from './amphora.ts';
import { HttpAmphora } from './http.ts';

const ID = idOf('amphora', 1);
const LB = idOf('lb', 1);
const md5 = (text: string) => createHash('md5').update(text).digest('hex');

interface Answer {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

describe('HttpAmphora on the wire', () => {
  let directory: string;
  let authority: LocalAuthority;
  let server: Server;
  let driver: HttpAmphora;
  /** `METHOD path`, with what it sent. */
  let calls: { call: string; body: string; contentType: string | undefined }[];
  let answers: Record<string, Answer>;
  let connections: number;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'http-amphora-'));
    authority = new LocalAuthority({ directory: join(directory, 'certificates') });
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  beforeEach(async () => {
    calls = [];
    connections = 0;
    answers = {
      'GET /': { status: 200, body: { api_version: '1.0' } },
      'GET /1.0/listeners': { status: 200, body: [] },
    };
    const { pem } = await authority.issueAgentCertificate(ID);
    server = createServer({
      ...{ cert: pem.reveal(), key: pem.reveal(), ca: await authority.clientCa() },
      ...{ requestCert: true, rejectUnauthorized: true },
    });
    server.on('secureConnection', () => connections++);
    server.on('request', async (request: IncomingMessage, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const call = `${request.method} ${request.url}`;
      calls.push({ call, body, contentType: request.headers['content-type'] });
      const answer = answers[call] ?? { status: 200, body: { message: 'OK' } };
      const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body ?? {});
      response.writeHead(answer.status, answer.headers).end(text);
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    driver = new HttpAmphora({ authority, port: (server.address() as AddressInfo).port });
  });
  afterEach(async () => {
    await driver.closeAll();
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
  });

  const amphora = (fields: Partial<Amphora> = {}): Amphora => ({
    ...buildGraph({ amphorae: [{}] }).amphorae[0]!,
    ...{ id: ID, lb_network_ip: '127.0.0.1' },
    ...fields,
  });
  const config = (fields: Partial<AmphoraConfig> = {}): AmphoraConfig => ({
    ...{
      load_balancer_id: LB,
      haproxy_cfg: 'global\n',
      certificates: [],
      udp_listeners: [],
    },
    ...fields,
  });
  /** Without the question after the listeners that are there. */
  const told = () => calls.map(each => each.call).filter(call => call !== 'GET /1.0/listeners');

  test('sends certificates, configuration and reload in this order, raw and over one connection', async () => {
    answers[`GET /1.0/loadbalancer/${LB}/certificates/a.pem`] = {
      status: 404,
      body: { message: 'Certificate Not Found' },
    };
    answers[`GET /1.0/loadbalancer/${LB}/haproxy`] = {
      status: 404,
      body: { message: 'Loadbalancer Not Found' },
    };
    await driver.apply(amphora(), config({ certificates: [{ name: 'a.pem', pem: new Secret('PEM\n') }] }));
    expect(told()).toEqual([
      `GET /1.0/loadbalancer/${LB}/certificates/a.pem`,
      `PUT /1.0/loadbalancer/${LB}/certificates/a.pem`,
      `GET /1.0/loadbalancer/${LB}/haproxy`,
      `PUT /1.0/loadbalancer/${ID}/${LB}/haproxy`,
      `PUT /1.0/loadbalancer/${LB}/reload`,
    ]);
    expect(calls[1]).toMatchObject({ body: 'PEM\n', contentType: undefined });
    const sent = calls.find(each => each.call === `PUT /1.0/loadbalancer/${ID}/${LB}/haproxy`);
    expect(sent).toMatchObject({ body: 'global\n', contentType: undefined });
    expect(connections).toBe(1);
  });

  test.each(['', '"'])('sends nothing again that is there (ETag in %j)', async quote => {
    const etag = quote + md5('global\n') + quote;
    answers[`GET /1.0/loadbalancer/${LB}/certificates/a.pem`] = {
      status: 200,
      body: { md5sum: md5('PEM\n') },
    };
    answers[`GET /1.0/loadbalancer/${LB}/haproxy`] = { status: 200, body: 'global\n', headers: { etag } };
    await driver.apply(amphora(), config({ certificates: [{ name: 'a.pem', pem: new Secret('PEM\n') }] }));
    expect(told().filter(call => call.startsWith('PUT'))).toEqual([`PUT /1.0/loadbalancer/${LB}/reload`]);
  });

  test('deletes what is no more', async () => {
    await driver.apply(amphora(), config({ haproxy_cfg: null }));
    expect(told()).toEqual([`DELETE /1.0/listeners/${LB}`]);
    answers[`DELETE /1.0/listeners/${LB}`] = { status: 404, body: { message: 'Listener Not Found' } };
    await driver.apply(amphora(), config({ haproxy_cfg: null }));
  });

  test('has keepalived start with what it is sent, or stop', async () => {
    await driver.applyVrrp(amphora(), 'vrrp\n');
    expect(told()).toEqual(['PUT /1.0/vrrp/upload', 'PUT /1.0/vrrp/start']);
    expect(calls[0]).toMatchObject({ body: 'vrrp\n', contentType: undefined });
    await driver.applyVrrp(amphora(), null);
    expect(told().slice(2)).toEqual(['PUT /1.0/vrrp/stop']);
  });

  test('sends listeners of their own that differ, reloads them always, and first removes those that are gone', async () => {
    const listener = (id: string) => ({ listener_id: id, keepalived_conf: `conf of ${id}\n` });
    answers['GET /1.0/listeners'] = {
      status: 200,
      body: [
        { uuid: 'gone', type: 'UDP', status: 'OFFLINE' },
        { uuid: 'same', type: 'UDP', status: 'ACTIVE' },
        { uuid: 'web', type: 'HTTP', status: 'ACTIVE' },
      ],
    };
    answers['GET /1.0/listeners/same/udp_listener'] = { status: 200, body: 'conf of same\n' };
    answers['GET /1.0/listeners/new/udp_listener'] = {
      status: 404,
      body: { message: 'UDP Listener Not Found' },
    };
    const udp_listeners = [listener('same'), listener('new')];
    await driver.apply(amphora(), config({ haproxy_cfg: null, udp_listeners }));
    expect(told()).toEqual([
      'DELETE /1.0/listeners/gone',
      'GET /1.0/listeners/same/udp_listener',
      'PUT /1.0/loadbalancer/same/reload',
      'GET /1.0/listeners/new/udp_listener',
      `PUT /1.0/listeners/${ID}/new/udp_listener`,
      'PUT /1.0/loadbalancer/new/reload',
      `DELETE /1.0/listeners/${LB}`,
    ]);
    expect(calls.find(each => each.call.endsWith('new/udp_listener') && each.body)).toMatchObject({
      ...{ body: 'conf of new\n', contentType: undefined },
    });
    answers[`PUT /1.0/listeners/${ID}/new/udp_listener`] = { status: 400, body: { details: 'no number' } };
    const error = await driver.apply(amphora(), config({ udp_listeners })).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TerminalError);
    expect((error as Error).message).toContain('no number');
  });

  test('a rejected configuration is terminal, in the words of haproxy, and nothing is reloaded', async () => {
    answers[`PUT /1.0/loadbalancer/${ID}/${LB}/haproxy`] = {
      ...{ status: 400, body: { message: 'Invalid request', details: "unknown keyword 'x' in 'frontend'" } },
    };
    const error = await driver.apply(amphora(), config()).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TerminalError);
    expect((error as Error).message).toContain("unknown keyword 'x' in 'frontend'");
    expect(told()).not.toContain(`PUT /1.0/loadbalancer/${LB}/reload`);
  });

  test('tells the words of the agent, and is not terminal, on any other error', async () => {
    answers[`PUT /1.0/loadbalancer/${LB}/reload`] = {
      ...{ status: 500, body: { message: 'Error reloading haproxy', details: 'no such process' } },
    };
    const error = await driver.apply(amphora(), config()).catch((e: unknown) => e);
    expect(error).not.toBeInstanceOf(TerminalError);
    expect((error as Error).message).toBe(
      `Amphora ${ID} answers PUT /1.0/loadbalancer/${LB}/reload with 500: Error reloading haproxy: no such process`,
    );
  });

  test('an interface that is plugged is success; one that cannot be found is not', async () => {
    const request = { subnet_cidr: '10.0.0.0/24', gateway: null, mac_address: 'fa:16:3e:00:00:01' };
    answers['POST /1.0/plug/vip/2001:db8::1'] = {
      status: 409,
      body: { message: 'Interface already exists' },
    };
    await driver.plugVip(amphora(), '2001:db8::1', request);
    expect(told()).toEqual(['POST /1.0/plug/vip/2001:db8::1']);
    expect(calls[0]).toMatchObject({ body: JSON.stringify(request), contentType: 'application/json' });
    answers['POST /1.0/plug/network'] = {
      status: 404,
      body: { details: 'No suitable network interface found' },
    };
    await expect(driver.plugNetwork(amphora(), { mac_address: 'fa:16:3e:00:00:01' })).rejects.toThrow(
      'answers POST /1.0/plug/network with 404: No suitable network interface found',
    );
  });

  test('asks for the API version once, and knows what is not an agent yet', async () => {
    answers['GET /1.0/info'] = { status: 200, body: { hostname: 'amphora' } };
    expect(await driver.findInfo(amphora())).toEqual({ hostname: 'amphora' });
    expect(await driver.findInfo(amphora())).toEqual({ hostname: 'amphora' });
    expect(told()).toEqual(['GET /', 'GET /1.0/info', 'GET /1.0/info']);
    answers['GET /1.0/info'] = { status: 404, body: '<html>not found</html>' };
    expect(await driver.findInfo(amphora())).toBeUndefined();
    await driver.close(ID);
    answers['GET /'] = { status: 404, body: '<html>not found</html>' };
    expect(await driver.findInfo(amphora())).toBeUndefined();
  });

  test('refuses an agent of another API version', async () => {
    answers['GET /'] = { status: 404, body: { error: '404 Not Found', http_code: 404 } };
    const error = await driver.findInfo(amphora()).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TerminalError);
    expect((error as Error).message).toContain('API 0.5');
  });

  test('says undefined of a closed port, and throws when it talks to another amphora', async () => {
    expect(await driver.findInfo(amphora({ lb_network_ip: '127.0.0.2' }))).toBeUndefined();
    const error = await driver.findInfo(amphora({ id: idOf('amphora', 2) })).catch((e: unknown) => e);
    expect(errorChain(error)).toContain('does not match');
  });

  test('speaks to the new address when an amphora has another one', async () => {
    expect(await driver.findInfo(amphora({ lb_network_ip: '127.0.0.2' }))).toBeUndefined();
    answers['GET /1.0/info'] = { status: 200, body: { hostname: 'amphora' } };
    expect(await driver.findInfo(amphora())).toEqual({ hostname: 'amphora' });
  });

  test('leaves an agent alone that is too old to take its configuration again', async () => {
    answers['PUT /1.0/config'] = { status: 404, body: { error: '404 Not Found', http_code: 404 } };
    await driver.configure(amphora(), '[DEFAULT]\n');
    expect(told()).toEqual(['PUT /1.0/config']);
  });

  test('does not wait for ever', async () => {
    server.removeAllListeners('request');
    const impatient = new HttpAmphora({
      authority,
      port: (server.address() as AddressInfo).port,
      readTimeoutMs: 50,
    });
    const error = await impatient.details(amphora()).catch((e: unknown) => e);
    expect(errorChain(error)).toMatch(/Cannot send GET \/1.0\/details to amphora .*: Headers Timeout Error/);
    await impatient.closeAll();
  });
});
