/** What the API can ask of the data plane, which tests prove it by traffic, and the page that shows both. */
import type { Fields } from '../src/api/body.ts';
import { healthMonitors } from '../src/api/resources/health-monitors.ts';
import { l7policies } from '../src/api/resources/l7-policies.ts';
import { l7rules } from '../src/api/resources/l7-rules.ts';
import { listeners } from '../src/api/resources/listeners.ts';
import { LOAD_BALANCERS } from '../src/api/resources/load-balancers.ts';
import { members } from '../src/api/resources/members.ts';
import { pools } from '../src/api/resources/pools.ts';
import { LISTENER_FEATURES } from '../src/model/protocols.ts';

/** In the order of the page. */
const RESOURCES: Readonly<Record<string, Fields>> = {
  loadbalancer: LOAD_BALANCERS.fields!,
  listener: listeners.fields!,
  pool: pools.fields!,
  member: members.fields!,
  healthmonitor: healthMonitors.fields!,
  l7policy: l7policies.fields!,
  l7rule: l7rules.fields!,
};

/** Each of their values is a feature. */
const ENUMERATED = ['protocol', 'lb_algorithm', 'type', 'action', 'compare_type', 'client_authentication'];

/** Fields that no packet depends on. */
const WITHOUT_TRAFFIC: Readonly<Record<string, string>> = {
  name: 'for people',
  description: 'for people',
  tags: 'for people',
  loadbalancer_id: 'says where the object belongs',
  listener_id: 'says where the object belongs',
  pool_id: 'says where the object belongs',
  provider: 'chosen before there is a data plane',
  flavor_id: 'what it offers is about instances',
  availability_zone: 'what it offers is about instances',
  vip_qos_policy_id: 'a matter of the network service, which standalone does not have',
  request_sriov: 'a matter of hardware',
  listeners: 'the objects themselves',
  pools: 'the objects themselves',
};

/** What users of the data plane look for and the API has no field for. */
const BESIDES = [
  'http2',
  'grpc',
  'websocket',
  'proxy-protocol',
  'reload',
  'drain',
  'statistics',
  'access-log',
];

/** A pool's persistence is an object: its types and what tunes them. */
const PERSISTENCE = [
  ...['SOURCE_IP', 'HTTP_COOKIE', 'APP_COOKIE'].map(type => `pool.session_persistence=${type}`),
  ...['persistence_timeout', 'persistence_granularity'].map(name => `pool.session_persistence.${name}`),
];

export interface Feature {
  name: string;
  /** Whether the run fails when no test proves it. */
  required: boolean;
}

/** Every feature that a test may name, in the order of the page. */
export function listFeatures(): Feature[] {
  const ofFields = Object.entries(RESOURCES).flatMap(([resource, fields]) =>
    Object.entries(fields)
      .filter(([name, field]) => field.post !== 'ignored' && field.post !== 'no' && !WITHOUT_TRAFFIC[name])
      .filter(([name]) => name !== 'project_id' && name !== 'tenant_id')
      .flatMap(([name, { kind }]) => namesOf(`${resource}.${name}`, name, kind.schema)),
  );
  return [
    ...ofFields.map(name => ({ name, required: true })),
    ...BESIDES.map(name => ({ name, required: false })),
  ];
}

function namesOf(path: string, field: string, schema: object): string[] {
  if (path === 'pool.session_persistence') return PERSISTENCE;
  if (path === 'listener.insert_headers') {
    const headers = Object.values(LISTENER_FEATURES).flatMap(features => features.insert_headers);
    return [...new Set(headers)].map(header => `${path}=${header}`);
  }
  if (!ENUMERATED.includes(field)) return [path];
  const { anyOf } = schema as { anyOf: { const: string }[] };
  return anyOf.map(value => `${path}=${value.const}`);
}

const FAMILIES = ['IPv4', 'IPv6'] as const;

export interface Proof {
  /** Without its tags. */
  test: string;
  features: string[];
  families: string[];
  /** Why it does not run where the page was made; undefined when it does. */
  obstacle: string | undefined;
}

/** A name as the runner prints it: `describe > test`, with tags in square brackets at the end of each part. */
export function decodeProof(name: string): Proof {
  const tags = [...name.matchAll(/\[([^\]]*)\]/g)].flatMap(([, list]) => list!.split(',').map(t => t.trim()));
  const plain = name.replaceAll(/ *\[[^\]]*\]/g, '');
  return {
    test: plain.replace(/ *\(no [^()]*\)/, ''),
    features: tags.filter(tag => !(FAMILIES as readonly string[]).includes(tag)),
    families: FAMILIES.filter(family => tags.includes(family)),
    obstacle: /\((no [^()]*)\)/.exec(plain)?.[1],
  };
}

/** Whether it is about this feature; a tag may name one value of a field that is proven as a whole. */
export function proves({ features }: Proof, name: string): boolean {
  return features.some(feature => feature === name || feature.startsWith(`${name}=`));
}

/** `haproxyVersion`: of the haproxy that the tests ran with. */
export function renderTrafficPage(proofs: readonly Proof[], haproxyVersion: string): string {
  const rows = listFeatures().flatMap(({ name }) => {
    const proving = proofs.filter(proof => proves(proof, name));
    if (proving.length === 0) return [];
    const families = FAMILIES.filter(family => proving.some(proof => proof.families.includes(family)));
    const tests = proving.map(
      ({ test, obstacle }) => test + (obstacle ? ` (not run here: ${obstacle})` : ''),
    );
    return [`| \`${name}\` | ${families.join(', ')} | ${[...new Set(tests)].map(escapeCell).join('<br>')} |`];
  });
  const without = Object.entries(WITHOUT_TRAFFIC).map(([name, why]) => `\`${name}\` (${why})`);
  return `# What is proven by traffic

Each row is a feature of the API and the tests in \`test/host/\` that send real traffic through a real amphora to prove it, with
HAProxy ${haproxyVersion}. Made of the tests' names: \`UPDATE=1 npm test -- test/traffic-features\` writes it, and a feature of the API
without a row fails that test.

| feature | over | tests |
| --- | --- | --- |
${rows.join('\n')}

Not here, because no packet depends on them: ${without.join(', ')}.
`;
}

const escapeCell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
