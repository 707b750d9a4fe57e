/** The nftables transaction that balances one listener's flows; pure. */
import type { LvsListener, LvsMember, Service } from './config-text.ts';
import { hashed, leastConnections, roundRobin } from './slots.ts';

/** What a listener's table consists of besides its rules. */
export interface TableParts {
  chains: string[];
  sets: string[];
}

export const tableOf = (listenerId: string): string => `lvs-${listenerId}`;
/** Exists for members that new flows could go to, and for no others: it is also how a new agent knows who was up. */
export const chainOf = (memberId: string): string => `m-${memberId}`;
const clientsOf = (memberId: string): string => `p-${memberId}`;

/** A member that is not up gets no flow; one of weight 0 keeps those that it has. */
const isServing = (member: LvsMember, isUp: (memberId: string) => boolean): boolean =>
  member.weight > 0 && isUp(member.id);

export interface Wish {
  listenerId: string;
  listener: LvsListener;
  isUp(memberId: string): boolean;
  isSriov: boolean;
  /** How many flows a member has now; asked for least connections only. */
  flowsOf(member: LvsMember): number;
}

/**
 * Replaces all rules at once. Counters stay, and so do the clients that members are remembered for, unless the member does not serve
 * now. Also tells what the table consists of afterwards.
 */
export function renderTransaction(wish: Wish, present: TableParts): { text: string; parts: TableParts } {
  const table = `inet ${tableOf(wish.listenerId)}`;
  const { services, protocol = 'udp', limit } = wish.listener;
  const sets: Record<string, string> = {};
  const chains: Record<string, string[]> = {
    dstnat: [],
    srcnat: [],
    input: [],
    forward: [],
    early: [],
    own: [],
  };
  // Rules of this kind make the kernel follow all connections, haproxy's too, which need it only for a packet filter of their own.
  if (!wish.isSriov) for (const name of ['early', 'own']) chains[name]!.push('meta l4proto tcp notrack');
  if (limit !== undefined) sets[`limit-${limit}`] = 'type inet_proto; size 4; flags dynamic;';
  for (const service of services) {
    const ip = service.version === 4 ? 'ip' : 'ip6';
    const vips = `{ ${service.vips.join(', ')} }`;
    const toVip = `${ip} daddr ${vips} ${protocol} dport ${service.port}`;
    const ofFlow = `meta l4proto ${protocol} ct original ${ip} daddr ${vips} ct original proto-dst ${service.port}`;
    chains.dstnat!.push(`${toVip} goto service${service.version}`);
    chains.srcnat!.push(`ct status dnat ${ofFlow} masquerade`);
    // Whatever reaches the amphora itself was not balanced; an error says so, and leaves no trace that would hold later packets here.
    chains.input!.push(`${toVip} reject`);
    chains.forward!.push(`ct direction original ${ofFlow} counter name in`);
    chains.forward!.push(`ct direction reply ${ofFlow} counter name out`);
    const serving = service.members.filter(member => isServing(member, wish.isUp));
    chains[`service${service.version}`] = serviceRules(service, serving, wish);
    for (const member of serving) {
      chains[chainOf(member.id)] = memberRules(member, service, protocol);
      const { persistence } = service;
      if (persistence === undefined) continue;
      sets[clientsOf(member.id)] = `type ipv${service.version}_addr; size 1048576; flags dynamic,timeout;`;
      const reached = `${ip} daddr ${member.address} ${protocol} dport ${member.port}`;
      chains.forward!.push(`ct direction original ${ofFlow} ${reached} ${remember(member, service)}`);
    }
  }
  const gone = (kind: 'chain' | 'set', names: readonly string[], kept: object) =>
    names.filter(name => !(name in kept)).map(name => `${kind} ${table} ${name}`);
  const [goneChains, goneSets] = [gone('chain', present.chains, chains), gone('set', present.sets, sets)];
  const lines = [
    `add table ${table}`,
    ...['in', 'out', 'flows'].map(name => `add counter ${table} ${name}`),
    ...Object.entries(sets).map(([name, body]) => `add set ${table} ${name} { ${body} }`),
    ...Object.keys(chains).map(name => `add chain ${table} ${name}${HOOKS[name] ?? ''}`),
    ...[...Object.keys(chains).map(name => `chain ${table} ${name}`), ...goneChains].map(
      each => `flush ${each}`,
    ),
    ...Object.entries(chains).flatMap(([name, rules]) =>
      rules.map(rule => `add rule ${table} ${name} ${rule}`),
    ),
    ...[...goneChains, ...goneSets].map(each => `delete ${each}`),
  ];
  return { text: `${lines.join('\n')}\n`, parts: { chains: Object.keys(chains), sets: Object.keys(sets) } };
}

const HOOKS: Readonly<Record<string, string>> = {
  dstnat: ' { type nat hook prerouting priority dstnat; }',
  srcnat: ' { type nat hook postrouting priority srcnat; }',
  input: ' { type filter hook input priority filter; }',
  forward: ' { type filter hook forward priority filter; }',
  early: ' { type filter hook prerouting priority raw; }',
  own: ' { type filter hook output priority raw; }',
};

/** The first packet of a flow passes here, all others follow it. */
function serviceRules(service: Service, able: readonly LvsMember[], wish: Wish): string[] {
  if (able.length === 0) return [];
  const first = able.filter(member => !member.backup);
  const serving = first.length > 0 ? first : able;
  const { version, persistence, algorithm } = service;
  const { limit } = wish.listener;
  const rules =
    limit === undefined ? [] : [`add @limit-${limit} { meta l4proto ct count over ${limit} } drop`];
  if (persistence !== undefined) {
    const client = clientIn(service);
    for (const { id } of serving) rules.push(`${client} @${clientsOf(id)} goto ${chainOf(id)}`);
  }
  const weights = serving.map(member => member.weight);
  const byHash = () => hashed(serving.map(({ id, weight }) => ({ key: id, weight })));
  const slots = {
    wrr: () => roundRobin(weights),
    lc: () => leastConnections(weights, serving.map(wish.flowsOf)),
    sh: byHash,
    'sh-port': byHash,
  }[algorithm]();
  const source = version === 4 ? 'ip saddr' : 'ip6 saddr';
  // A seed of our own: the kernel's would be another one after each change.
  const jhash = (key: string) => `jhash ${key} mod ${slots.length} seed 0x1`;
  const inTurn = `numgen inc mod ${slots.length}`;
  const pick = {
    wrr: inTurn,
    lc: inTurn,
    sh: jhash(source),
    'sh-port': jhash(`${source} . th sport`),
  }[algorithm];
  rules.push(
    `${pick} vmap { ${ranges(slots)
      .map(([from, to, owner]) => `${from}-${to} : goto ${chainOf(serving[owner]!.id)}`)
      .join(', ')} }`,
  );
  return rules;
}

const clientIn = ({ version, persistence }: Service): string =>
  `${version === 4 ? 'ip' : 'ip6'} saddr & ${persistence!.mask}`;

const remember = (member: LvsMember, service: Service): string =>
  `update @${clientsOf(member.id)} { ${clientIn(service)} timeout ${service.persistence!.seconds}s }`;

function memberRules(member: LvsMember, service: Service, protocol: string): string[] {
  const [ip, to] = service.version === 4 ? ['ip', member.address] : ['ip6', `[${member.address}]`];
  const noted = service.persistence === undefined ? '' : `${remember(member, service)} `;
  return [`${noted}counter name flows meta l4proto ${protocol} dnat ${ip} to ${to}:${member.port}`];
}

/** Neighbouring slots of one owner as one. */
function ranges(slots: readonly number[]): [from: number, to: number, owner: number][] {
  const found: [number, number, number][] = [];
  slots.forEach((owner, slot) => {
    const last = found.at(-1);
    if (last?.[2] === owner) last[1] = slot;
    else found.push([slot, slot, owner]);
  });
  return found;
}
