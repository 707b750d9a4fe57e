/** A client that remembers what was accepted: after each answer it knows what its load balancers must look like, or what they may. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { LoadBalancerGraph } from '../../src/model/graph.ts';
import { randomFrom } from '../scenarios/random.ts';

/** One thing by its name, with what the client said of it. */
export interface Thing {
  kind: 'listener' | 'pool' | 'member' | 'health_monitor' | 'l7policy';
  /** The name of the thing that it is under. */
  of?: string;
  [field: string]: unknown;
}
/** A load balancer as a client wants it; undefined: it is not there. */
export type Tree = { description: string; things: Record<string, Thing> } | undefined;

export interface Wish {
  name: string;
  id: string | undefined;
  /** What it may be. More than one when an answer was lost, after which nothing else is asked of it. */
  may: Tree[];
  /** Ids of what is in it, by name. */
  ids: Map<string, string>;
}

interface Request {
  method: 'POST' | 'PUT' | 'DELETE';
  path: string;
  body?: object;
  apply(tree: Tree): Tree;
  /** What of the answer is to be remembered: name → where its id is. */
  learn?(answer: never): [name: string, id: string][];
}

const LIMIT_MS = 8000;
const SUBNETS = [1, 2, 3].map(n => `${n}0000000-0000-4000-8000-000000000000`);
const NETWORK = '30000000-0000-4000-8000-000000000001';
const MOST_LIVE = 3;
const MOST_UNCERTAIN = 12;

export class ChaosClient {
  readonly wishes: Wish[] = [];
  /** Requests by how they ended: a status, or `no answer`. */
  readonly outcomes = new Map<string, number>();
  accepted = 0;
  readonly #name: string;
  readonly #urls: readonly string[];
  readonly #random: () => number;
  #made = 0;

  constructor(name: string, urls: readonly string[], random: () => number) {
    this.#name = name;
    this.#urls = urls;
    this.#random = random;
  }

  /** Sends one request after another until it is told to stop. */
  async run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await this.#act();
      await sleep(this.#random() * 100);
    }
  }

  async #act(): Promise<void> {
    const live = this.wishes.filter(wish => wish.may.length === 1 && wish.may[0]);
    const uncertain = this.wishes.filter(wish => wish.may.length > 1 && wish.id);
    if (uncertain.length > MOST_UNCERTAIN) return this.#delete(randomFrom(this.#random, uncertain));
    if (live.length < MOST_LIVE) return this.#create();
    const wish = randomFrom(this.#random, live);
    if (this.#random() < 0.03) return this.#delete(wish);
    const request = this.#draw(wish, wish.may[0]!);
    if (request) await this.#send(wish, request);
  }

  async #create(): Promise<void> {
    const name = `${this.#name}-${++this.#made}`;
    const wish: Wish = { name, id: undefined, may: [undefined], ids: new Map() };
    this.wishes.push(wish);
    const body = {
      loadbalancer: {
        ...{ name, project_id: 'p', description: 'new' },
        ...{ vip_network_id: NETWORK, vip_subnet_id: SUBNETS[0] },
        listeners: [{ name: `${name}-l`, protocol: 'HTTP', protocol_port: 80, connection_limit: 7 }],
      },
    };
    const listener: Thing = { kind: 'listener', connection_limit: 7 };
    const things = { [`${name}-l`]: listener };
    await this.#send(wish, {
      ...{ method: 'POST', path: '/loadbalancers', body },
      apply: () => ({ description: 'new', things }),
      learn({ loadbalancer }: { loadbalancer: { id: string; listeners: { id: string }[] } }) {
        wish.id = loadbalancer.id;
        return [[`${name}-l`, loadbalancer.listeners[0]!.id]];
      },
    });
  }

  async #delete(wish: Wish): Promise<void> {
    const path = `/loadbalancers/${wish.id}?cascade=true`;
    await this.#send(wish, { method: 'DELETE', path, apply: () => undefined });
  }

  #draw(wish: Wish, tree: NonNullable<Tree>): Request | undefined {
    const n = ++this.#made;
    const random = this.#random;
    const number = (below: number) => Math.floor(random() * below);
    const entries = Object.entries(tree.things);
    const of = (kind: Thing['kind']) =>
      entries.filter(([, thing]) => thing.kind === kind).map(([name]) => name);
    const pick = (kind: Thing['kind']) => (of(kind).length > 0 ? randomFrom(random, of(kind)) : undefined);
    const id = (name: string) => wish.ids.get(name);
    const put = (name: string, thing: Thing) => (before: Tree) =>
      before && { ...before, things: { ...before.things, [name]: thing } };
    const set = (name: string, fields: object) => (before: Tree) =>
      before && {
        ...before,
        things: { ...before.things, [name]: { ...before.things[name]!, ...fields } },
      };
    const drop = (name: string) => (before: Tree) =>
      before && { ...before, things: without(before.things, name) };
    const learnt = (name: string) => (answer: Record<string, { id: string }>) =>
      [[name, Object.values(answer)[0]!.id]] as [string, string][];
    const create = (path: string, root: string, body: object, thing: Thing): Request => {
      const name = `${wish.name}-${n}`;
      const request = { method: 'POST', path, body: { [root]: { name, ...body } } } as const;
      return { ...request, apply: put(name, thing), learn: learnt(name) };
    };
    const [listener, pool, member] = [pick('listener'), pick('pool'), pick('member')];
    const poolOf = (name: string) => id(tree.things[name]!.of!);
    const draws: [weight: number, request: () => Request | undefined][] = [
      [
        1,
        () => ({
          ...{ method: 'PUT', path: `/loadbalancers/${wish.id}` },
          body: { loadbalancer: { description: `d${n}` } },
          apply: before => before && { ...before, description: `d${n}` },
        }),
      ],
      [0.3, () => ({ method: 'PUT', path: `/loadbalancers/${wish.id}/failover`, apply: before => before })],
      [
        of('listener').length < 4 ? 1 : 0,
        () => {
          const body = {
            loadbalancer_id: wish.id,
            protocol: 'HTTP',
            protocol_port: 1000 + n,
            connection_limit: 1,
          };
          return create('/listeners', 'listener', body, { kind: 'listener', connection_limit: 1 });
        },
      ],
      [
        listener ? 2 : 0,
        () => ({
          ...{ method: 'PUT', path: `/listeners/${id(listener!)}` },
          body: { listener: { connection_limit: n } },
          apply: set(listener!, { connection_limit: n }),
        }),
      ],
      [
        listener ? 0.4 : 0,
        () => ({ method: 'DELETE', path: `/listeners/${id(listener!)}`, apply: drop(listener!) }),
      ],
      [
        of('pool').length < 4 ? 1.5 : 0,
        () => {
          const body = { loadbalancer_id: wish.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
          return create('/pools', 'pool', body, { kind: 'pool', lb_algorithm: 'ROUND_ROBIN' });
        },
      ],
      [
        pool ? 1 : 0,
        () => {
          const lb_algorithm = randomFrom(random, ['ROUND_ROBIN', 'LEAST_CONNECTIONS', 'SOURCE_IP']);
          return {
            ...{ method: 'PUT', path: `/pools/${id(pool!)}`, body: { pool: { lb_algorithm } } },
            apply: set(pool!, { lb_algorithm }),
          };
        },
      ],
      [pool ? 0.3 : 0, () => ({ method: 'DELETE', path: `/pools/${id(pool!)}`, apply: drop(pool!) })],
      [
        pool && of('member').length < 12 ? 4 : 0,
        () => {
          const place = { address: `192.0.2.${1 + (n % 250)}`, protocol_port: 1 + (n % 60_000) };
          const body = { ...place, subnet_id: randomFrom(random, SUBNETS) };
          return create(`/pools/${id(pool!)}/members`, 'member', body, {
            kind: 'member',
            of: pool!,
            weight: 1,
          });
        },
      ],
      [
        member ? 3 : 0,
        () => ({
          ...{ method: 'PUT', path: `/pools/${poolOf(member!)}/members/${id(member!)}` },
          body: { member: { weight: n % 250 } },
          apply: set(member!, { weight: n % 250 }),
        }),
      ],
      [
        member ? 1 : 0,
        () => ({
          ...{ method: 'DELETE', path: `/pools/${poolOf(member!)}/members/${id(member!)}` },
          apply: drop(member!),
        }),
      ],
      [
        pool ? 0.7 : 0,
        () => {
          const weights = Array.from({ length: number(4) }, () => number(200));
          const named = weights.map((weight, i) => ({ name: `${wish.name}-${n}-${i}`, weight }));
          const members = named.map((each, i) => ({
            ...{ ...each, address: `198.51.100.${1 + (n % 250)}`, protocol_port: 1 + i + (n % 60_000) },
          }));
          return {
            ...{ method: 'PUT', path: `/pools/${id(pool!)}/members`, body: { members } },
            apply: before => {
              if (!before) return before;
              const rest = Object.entries(before.things).filter(
                ([, thing]) => thing.kind !== 'member' || thing.of !== pool,
              );
              // Their ids are not in the answer: nobody asks for them by id.
              const added = named.map(({ name, weight }) => [name, { kind: 'member', of: pool, weight }]);
              return { ...before, things: Object.fromEntries([...rest, ...added]) };
            },
          };
        },
      ],
      [
        pool && !entries.some(([, thing]) => thing.kind === 'health_monitor' && thing.of === pool) ? 0.7 : 0,
        () => {
          const body = { pool_id: id(pool!), type: 'TCP', delay: 5, timeout: 2, max_retries: 2 };
          return create('/healthmonitors', 'healthmonitor', body, {
            kind: 'health_monitor',
            of: pool!,
            delay: 5,
          });
        },
      ],
      [
        listener ? 0.7 : 0,
        () => {
          const body = { listener_id: id(listener!), action: 'REJECT' };
          return create('/l7policies', 'l7policy', body, { kind: 'l7policy', of: listener! });
        },
      ],
    ];
    let at = random() * draws.reduce((sum, [weight]) => sum + weight, 0);
    const [, draw] = draws.find(([weight]) => {
      at -= weight;
      return weight > 0 && at <= 0;
    })!;
    const request = draw();
    return request?.path.includes('undefined') ? undefined : request;
  }

  async #send(wish: Wish, { method, path, body, apply, learn }: Request): Promise<void> {
    const note = (outcome: string) => this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    const uncertain = () => {
      const after = wish.may
        .map(apply)
        .filter(tree => !wish.may.some(known => isDeepStrictEqual(known, tree)));
      wish.may = [...wish.may, ...after];
    };
    try {
      const answer = await fetch(`${randomFrom(this.#random, this.#urls)}/v2.0/lbaas${path}`, {
        method,
        headers: { 'content-type': 'application/json', 'x-project-id': 'p' },
        ...(body && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(LIMIT_MS),
      });
      const text = await answer.text();
      note(String(answer.status));
      if (answer.status >= 500) return uncertain();
      // It is gone already, or on its way: then an earlier answer was lost.
      const isGone = method === 'DELETE' && path.includes('cascade') && [404, 409].includes(answer.status);
      if (isGone) wish.may = [undefined];
      if (!answer.ok) return;
      this.accepted++;
      const after = wish.may.map(apply);
      wish.may = after.filter((tree, i) => after.findIndex(each => isDeepStrictEqual(each, tree)) === i);
      for (const [name, id] of learn?.(JSON.parse(text) as never) ?? []) wish.ids.set(name, id);
    } catch (error) {
      const { code } = ((error as Error).cause ?? {}) as { code?: string };
      note(code === 'ECONNREFUSED' ? 'refused' : 'no answer');
      // Nobody took it when nobody listened; else it may be carried out even later.
      if (code !== 'ECONNREFUSED') uncertain();
    }
  }
}

/** What goes with it, too. */
function without(things: Record<string, Thing>, name: string): Record<string, Thing> {
  return Object.fromEntries(
    Object.entries(things).filter(([own, thing]) => own !== name && thing.of !== name),
  );
}

/** The same words as a wish, of the rows; what is on its way out is gone. */
export function treeOf(graph: LoadBalancerGraph): NonNullable<Tree> {
  const things: Record<string, Thing> = {};
  const nameOf = (rows: readonly { id: string; name: string }[], id: string) =>
    rows.find(row => row.id === id)!.name;
  for (const { name, connection_limit } of graph.listeners)
    things[name] = { kind: 'listener', connection_limit };
  for (const { name, lb_algorithm } of graph.pools) things[name] = { kind: 'pool', lb_algorithm };
  for (const { name, pool_id, weight } of graph.members)
    things[name] = { kind: 'member', of: nameOf(graph.pools, pool_id), weight };
  for (const { name, pool_id, delay } of graph.health_monitors)
    things[name] = { kind: 'health_monitor', of: nameOf(graph.pools, pool_id), delay };
  for (const { name, listener_id } of graph.l7policies)
    things[name] = { kind: 'l7policy', of: nameOf(graph.listeners, listener_id) };
  return { description: graph.load_balancer.description, things };
}
