/** What a health monitor's fields make haproxy ask, how often, and what it takes from the answers. */
import { createServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DualVip, FAMILIES, type Family } from './dual-vip.ts';
import { ask } from './http-client.ts';
import { titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

interface Check {
  atMs: number;
  method: string;
  url: string;
  version: string;
  host: string | undefined;
  /** What it was answered with. */
  status: number;
}

/** A server that is checked at `/check…`, and answers everything else with 200 at once. */
class Checked {
  readonly checks: Check[] = [];
  status = 200;
  afterMs = 0;
  readonly server = createServer((request, response) => {
    if (!request.url!.startsWith('/check')) return void response.end('traffic');
    const { method, url, httpVersion: version, headers } = request;
    const { status } = this;
    this.checks.push({
      atMs: performance.now(),
      method: method!,
      url: url!,
      version,
      host: headers.host,
      status,
    });
    const answer = () => response.writeHead(status).end();
    if (this.afterMs === 0) answer();
    else setTimeout(answer, this.afterMs);
  });
}

/** A listener with a pool of one member under a monitor of its own. */
interface Watched {
  /** The member's own server, and one beside it that a monitor may look at instead. */
  own: Checked;
  other: Checked;
  url: string;
  monitor: string;
}

/** What each test needs, all made before the first one, so that no reload disturbs what they count. */
const WISHES = {
  plain: {},
  asked: { http_method: 'OPTIONS', url_path: '/check/2', http_version: 1.1, domain_name: 'check.example' },
  range: { expected_codes: '301-303' },
  list: { expected_codes: '200,304' },
  // Slow enough for traffic to notice between two checks.
  patient: { max_retries: 2, max_retries_down: 3, delay: 2, timeout: 2 },
  slow: { delay: 2, timeout: 2 },
  hasty: { delay: 1, timeout: 1 },
  port: {},
  address: {},
  disabled: { admin_state_up: false },
};

describe.skipIf(trafficObstacle)(titled('a monitor of type HTTP'), () => {
  const made = new AsyncDisposableStack();
  let vip: DualVip;
  const watched = {} as Record<keyof typeof WISHES, Record<Family, Watched>>;

  const both = <T>(name: keyof typeof WISHES, look: (each: Watched) => Promise<T> | T) =>
    Promise.all(FAMILIES.map(family => look(watched[name][family])));
  const answersWith = (each: Watched, status: number) =>
    until(`${each.url} to answer with ${status}`, async () => (await ask(each.url)).status === status);
  const answerWith = (name: keyof typeof WISHES, status: number) =>
    both(name, each => answersWith(each, status));

  const watch = async (name: keyof typeof WISHES, family: Family): Promise<Watched> => {
    const { api } = vip.system;
    const [own, other] = [new Checked(), new Checked()];
    const port = await vip.listen(own.server, family);
    const monitor_port = await vip.listen(other.server, name === 'address' ? turned(family) : family);
    const { pool, url } = await vip.serve({ members: [] });
    await vip.addMember(pool, port, {
      address: vip.subnets[family].gateway_ip,
      ...(name === 'port' && { monitor_port }),
      ...(name === 'address' && { monitor_port, monitor_address: vip.subnets[turned(family)].gateway_ip }),
    });
    const { id } = await api.create('healthmonitors', {
      ...{ pool_id: pool.id, type: 'HTTP', url_path: '/check?a=b', delay: 1, timeout: 1 },
      ...{ max_retries: 1, max_retries_down: 1, ...WISHES[name] },
    });
    if (name === 'slow' || name === 'hasty') own.afterMs = 1300;
    if (name === 'disabled') own.status = 500;
    return { own, other, url: url(family), monitor: `healthmonitors/${id}` };
  };
  beforeAll(async () => {
    vip = made.use(await DualVip.open());
    for (const name of Object.keys(WISHES) as (keyof typeof WISHES)[]) {
      watched[name] = { IPv4: await watch(name, 'IPv4'), IPv6: await watch(name, 'IPv6') };
    }
    await vip.active();
  });
  afterAll(() => made.disposeAsync());

  describe.concurrent('while nothing is changed', () => {
    test('asks what it is told to [healthmonitor.http_method, healthmonitor.url_path, healthmonitor.http_version, healthmonitor.domain_name, IPv4, IPv6]', async () => {
      const first = ({ own }: Watched) => until('a check', () => own.checks[0]);
      for (const { method, url, version } of await both('plain', first))
        expect([method, url, version]).toEqual(['GET', '/check?a=b', '1.0']);
      const asked = { method: 'OPTIONS', url: '/check/2', version: '1.1', host: 'check.example' };
      for (const check of await both('asked', first)) expect(check).toMatchObject(asked);
    });

    test('takes the codes that are expected for good [healthmonitor.expected_codes, IPv4, IPv6]', async () => {
      await Promise.all([answerWith('range', 503), answerWith('list', 200)]);
      for (const family of FAMILIES) {
        watched.range[family].own.status = 302;
        watched.list[family].own.status = 302;
      }
      await Promise.all([answerWith('range', 200), answerWith('list', 503)]);
    });

    test('is not impressed by fewer answers than it is told to wait for [healthmonitor.max_retries, healthmonitor.max_retries_down, IPv4, IPv6]', async () => {
      /** How many checks were answered with this before traffic noticed. */
      const checksUntil = async ({ own, ...each }: Watched, status: number, noticed: number) => {
        const before = own.checks.length;
        own.status = status;
        await answersWith({ own, ...each }, noticed);
        return own.checks.slice(before).filter(check => check.status === status).length;
      };
      await answerWith('patient', 200);
      // A server that was never checked goes down with the first failure.
      await both('patient', ({ own }) => until('two checks', () => own.checks.length > 1));
      expect(await both('patient', each => checksUntil(each, 500, 503))).toEqual([3, 3]);
      expect(await both('patient', each => checksUntil(each, 200, 200))).toEqual([2, 2]);
    });

    test('asks as often as it is told to, and waits as long for the answer [healthmonitor.delay, healthmonitor.timeout, IPv4, IPv6]', async () => {
      /** That in the middle of three by their length: a check that is noted late makes one longer and one shorter. */
      const gap = async ({ own: { checks } }: Watched) => {
        await until('four checks', () => checks.length > 3);
        const times = checks.slice(0, 4).map(({ atMs }) => atMs);
        const gaps = times.slice(1).map((atMs, i) => atMs - times[i]!);
        return gaps.sort((a, b) => a - b)[1]!;
      };
      for (const ms of await both('plain', gap)) expect(ms).toBeLessThan(1900);
      for (const ms of await both('slow', gap)) expect(ms).toBeGreaterThan(1900);
      await Promise.all([answerWith('slow', 200), answerWith('hasty', 503)]);
    });

    test('looks where the member says [member.monitor_port, member.monitor_address, IPv4, IPv6]', async () => {
      for (const name of ['port', 'address'] as const) {
        for (const family of FAMILIES) watched[name][family].other.status = 500;
      }
      await Promise.all([answerWith('port', 503), answerWith('address', 503)]);
      for (const name of ['port', 'address'] as const) {
        for (const family of FAMILIES) watched[name][family].other.status = 200;
      }
      await Promise.all([answerWith('port', 200), answerWith('address', 200)]);
      expect(await both('address', ({ own }) => own.checks.length)).toEqual([0, 0]);
    });
  });

  test('that is disabled lets everything through [healthmonitor.admin_state_up, IPv4, IPv6]', async () => {
    const enable = async (admin_state_up: boolean) => {
      for (const family of FAMILIES)
        await vip.system.api.set(watched.disabled[family].monitor, { admin_state_up });
      await vip.active();
    };
    await answerWith('disabled', 200);
    await enable(true);
    await answerWith('disabled', 503);
    await enable(false);
    await answerWith('disabled', 200);
  });
});

const turned = (family: Family): Family => (family === 'IPv4' ? 'IPv6' : 'IPv4');
