/** What tests of the API begin with: the app on an empty database and an empty cloud, and a worker that agrees to everything. */
import { loadGraph } from '../db/graph.ts';
import { loadBalancersOwingWork, takeLease } from '../db/lease.ts';
import type { Db } from '../db/schema.ts';
import { settleDone, settleRemoved } from '../db/settle.ts';
import { givenDatabase } from '../db/testing.ts';
import { NoopSecrets } from '../drivers/certificates/noop-secrets.ts';
import { LOG_START } from '../drivers/compute/access-log.ts';
import { NoopNetwork } from '../drivers/network/noop.ts';
import { NoopCloud } from '../drivers/noop-cloud.ts';
import { type Log, silentLog } from '../lib/log.ts';
import { LISTENER_PROTOCOLS } from '../model/listener.ts';
import { POOL_PROTOCOLS } from '../model/pool.ts';
import { isSpreadBy } from '../model/protocols.ts';
import { AVAILABILITY_ZONE_CAPABILITIES, FLAVOR_CAPABILITIES } from '../providers/amphora/capabilities.ts';
import { NoopProvider } from '../providers/noop-provider.ts';
import type { Provider } from '../providers/provider.ts';
import { type ApiDeps, type ApiSettings, buildApi, DEFAULT_API_SETTINGS, noauth, Policy } from './server.ts';

export const PROJECT = '11111111111111111111111111111111';

/** Network and subnet ids of the cloud; its addresses are checked as strictly as real ones. */
export const NETWORK = '00000000-0000-4000-8000-000000000010';
export const SUBNET = '00000000-0000-4000-8000-000000000011';
export const SUBNET_V6 = '00000000-0000-4000-8000-000000000012';
export const OTHER_NETWORK = '00000000-0000-4000-8000-000000000020';
export const OTHER_SUBNET = '00000000-0000-4000-8000-000000000021';
/** Every id exists in the cloud, except those that begin so. */
export const NOWHERE = 'ffffffff-0000-4000-8000-000000000000';

// biome-ignore lint/suspicious/noExplicitAny: bodies are read as a client reads them
type Json = any;

export interface Answer {
  status: number;
  body: Json;
  headers: Record<string, unknown>;
}

export interface GivenApi extends AsyncDisposable {
  deps: ApiDeps;
  db: Db;
  cloud: NoopCloud;
  /** The ids that were notified, in order. */
  nudges: string[];
  /** Errors that were logged: none, unless a test makes them. */
  failures: string[];
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Sends it and expects success; returns the object inside the root. */
  create(path: string, body: Record<string, unknown>): Promise<Json>;
  /** Serves on a port of its own as well; returns the URL. */
  listen(): Promise<string>;
  /** All work is done: pending rows become ACTIVE or go. */
  settle(): Promise<void>;
}

/** The amphora provider as the API sees it: what it serves, and nothing behind it. */
function testProvider(supports: Partial<Provider['supports']>): Provider {
  const noop = new NoopProvider();
  const amphora: Provider['supports'] = {
    ...noop.supports,
    listener_protocols: LISTENER_PROTOCOLS.filter(p => p !== 'SCTP'),
    pool_protocols: POOL_PROTOCOLS.filter(p => p !== 'SCTP'),
    lb_algorithm: isSpreadBy,
    pool_tls: false,
    flavor_capabilities: FLAVOR_CAPABILITIES,
    availability_zone_capabilities: AVAILABILITY_ZONE_CAPABILITIES,
    ...supports,
  };
  return {
    name: 'amphora',
    description: 'For tests.',
    supports: amphora,
    reconcile: async () => ({ done: true }),
    remove: async () => ({ done: true }),
  };
}

class StrictNetwork extends NoopNetwork {
  override async findSubnet(id: string) {
    return id.startsWith('ffffffff') ? undefined : super.findSubnet(id);
  }
  override async findNetwork(id: string) {
    return id.startsWith('ffffffff') ? undefined : super.findNetwork(id);
  }
}

export async function givenApi(
  options: {
    settings?: Partial<ApiSettings>;
    supports?: Partial<Provider['supports']>;
    authenticate?: ApiDeps['authenticate'];
    policy?: ApiDeps['policy'];
    /** One that has whatever it is asked for, when absent. */
    secrets?: ApiDeps['secrets'];
    /** An empty one when absent. */
    accessLog?: ApiDeps['accessLog'];
    /** Stays open when the app is closed. */
    database?: Db;
  } = {},
): Promise<GivenApi> {
  const own = options.database ? undefined : await givenDatabase();
  const db = options.database ?? own!;
  const cloud = new NoopCloud();
  const subnet = (id: string, network_id: string, cidr: string) => ({
    id,
    name: '',
    project_id: null,
    network_id,
    ip_version: cidr.includes(':') ? (6 as const) : (4 as const),
    cidr,
    gateway_ip: null,
    host_routes: [],
  });
  const network = { name: '', project_id: null, mtu: 1500 };
  cloud.addNetwork({ ...network, id: NETWORK, subnets: [SUBNET, SUBNET_V6] }, [
    subnet(SUBNET, NETWORK, '10.1.0.0/16'),
    subnet(SUBNET_V6, NETWORK, '2001:db8::/64'),
  ]);
  cloud.addNetwork({ ...network, id: OTHER_NETWORK, subnets: [OTHER_SUBNET] }, [
    subnet(OTHER_SUBNET, OTHER_NETWORK, '10.2.0.0/16'),
  ]);
  const nudges: string[] = [];
  const failures: string[] = [];
  const log: Log = {
    ...silentLog,
    error: (fields, message) => failures.push(`${message}: ${fields.cause} ${fields.stack}`),
  };
  const entry = { provider: testProvider(options.supports ?? {}), network: new StrictNetwork(cloud) };
  let nowMs = Date.UTC(2026, 0, 1);
  const deps: ApiDeps = {
    db,
    queue: { notify: async id => void nudges.push(id) },
    // A millisecond further each time it is read: lists have an order.
    clock: { now: () => nowMs++, sleep: async () => {} },
    log,
    providers: new Map([
      ['amphora', entry],
      ['octavia', entry],
    ]),
    settings: {
      ...DEFAULT_API_SETTINGS,
      noauth: options.authenticate === noauth,
      ...options.settings,
    },
    policy: options.policy ?? new Policy(),
    secrets: options.secrets ?? new NoopSecrets(),
    accessLog: options.accessLog ?? {
      read: async () => ({ lines: [], position: LOG_START }),
    },
    authenticate:
      options.authenticate ??
      (() => ({
        user_id: 'u',
        project_id: PROJECT,
        roles: ['admin'],
        domain_id: null,
        system_scope: null,
        is_admin: true,
      })),
  };
  const app = buildApi(deps);

  const request: GivenApi['request'] = async (method, path, body, headers = {}) => {
    const isText = typeof body === 'string';
    const response = await app.inject({
      method: method as 'GET',
      url: /^\/(v2|healthcheck|openapi|$)/.test(path) ? path : `/v2.0/lbaas${path}`,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { payload: isText ? body : JSON.stringify(body) }),
    });
    const isJson = response.headers['content-type']?.toString().includes('json') && response.body !== '';
    return {
      status: response.statusCode,
      body: isJson ? response.json() : response.body,
      headers: response.headers,
    };
  };

  return {
    deps,
    db,
    cloud,
    nudges,
    failures,
    request,
    async create(path, body) {
      const { status, body: answer } = await request('POST', path, body);
      if (status !== 201) throw new Error(`POST ${path} answered ${status}: ${JSON.stringify(answer)}`);
      return Object.values(answer)[0];
    },
    listen: () => app.listen({ host: '127.0.0.1', port: 0 }),
    async settle() {
      for (const id of await loadBalancersOwingWork(db, nowMs, 1000)) {
        const lease = await takeLease(db, id, 'worker', nowMs, 1000);
        const graph = await loadGraph(db, id);
        if (!lease || !graph) throw new Error(`Cannot settle ${id}: somebody else holds it`);
        const record = { worker: 'worker', started_at_ms: nowMs, duration_ms: 0, steps: '[]' };
        const removed = graph.load_balancer.provisioning_status === 'PENDING_DELETE';
        await (removed ? settleRemoved : settleDone)(db, lease, graph, record, nowMs);
      }
    },
    async [Symbol.asyncDispose]() {
      await app.close();
      await own?.[Symbol.asyncDispose]();
    },
  };
}

/** A load balancer on the IPv4 subnet, settled. */
export async function givenActiveLoadBalancer(
  api: GivenApi,
  set: Record<string, unknown> = {},
): Promise<Json> {
  const lb = await api.create('/loadbalancers', {
    loadbalancer: { name: 'lb', vip_subnet_id: SUBNET, ...set },
  });
  await api.settle();
  return lb;
}
