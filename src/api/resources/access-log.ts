/** What a load balancer's amphorae logged of its connections: the newest lines, and those that come. Not Octavia's. */
import { Readable } from 'node:stream';
import { listAmphoraIds } from '../../db/amphorae.ts';
import { findRecord } from '../../db/children.ts';
import { type AccessLog, LOG_START, type LogPosition } from '../../drivers/compute/access-log.ts';
import { Fault } from '../../lib/errors.ts';
import { instanceName } from '../../model/amphora.ts';
import { isTrueWord } from '../fields.ts';
import type { ApiDeps, Call, Operation } from '../resource.ts';
import { findLoadBalancer, LOAD_BALANCERS } from './load-balancers.ts';

const DEFAULT_LINES = 100;
const MOST_LINES = 10_000;
const POLL_MS = 200;
/** Between two looks for new amphorae; whoever listens is sent an empty line, by which he knows that we are there. */
const ROUND_POLLS = 5;
/** Then the client comes again, and has to be allowed to. */
const FOLLOW_LIMIT_MS = 10 * 60_000;

interface Entry {
  time: string;
  amphora_id: string;
  text: string;
}

export function accessLogOperations(deps: ApiDeps): Operation[] {
  const path = '/ottavia/loadbalancers/:id/logs';
  const query = ['limit', 'since', 'follow'];
  const common = { method: 'GET', path, query, status: 200, of: LOAD_BALANCERS, answers: 'logs' } as const;
  return [{ ...common, run: call => show(deps, call) }];
}

/** With `follow`, one entry after the other instead of a document. */
async function show(deps: ApiDeps, call: Call): Promise<{ logs: Entry[] } | Readable> {
  const { id } = await findLoadBalancer(deps, call, 'get_one');
  const limit = limitOf(call.query.get('limit'));
  const since = call.query.get('since') ?? '';
  const { accessLog } = deps;
  if ('unavailable' in accessLog)
    throw new Fault('unsupported', `Cannot show logs of load balancer ${id}: ${accessLog.unavailable}.`);
  const reading = new Reading(deps, accessLog, id);
  const logs = (await reading.newest(limit)).filter(({ time }) => time >= since);
  return isTrueWord(call.query.get('follow') ?? '') ? Readable.from(follow(deps, reading, logs)) : { logs };
}

function limitOf(text: string | null): number {
  if (text === null) return DEFAULT_LINES;
  const limit = Number(text);
  if (/^\d{1,5}$/.test(text) && limit <= MOST_LINES) return limit;
  throw new Fault('invalid', `Invalid limit: it must be an integer from 0 to ${MOST_LINES}.`);
}

/** Ends when the load balancer is gone. Never waits for long without a word, so that an end of the client is noticed. */
async function* follow({ clock }: ApiDeps, reading: Reading, newest: Entry[]): AsyncGenerator<string> {
  const deadline = clock.now() + FOLLOW_LIMIT_MS;
  yield encode(newest);
  while (clock.now() < deadline) {
    if (!(await reading.findAmphorae())) return;
    for (let poll = 0; poll < ROUND_POLLS; poll++) {
      await clock.sleep(POLL_MS);
      const entries = await reading.next();
      if (entries.length > 0) yield encode(entries);
    }
    yield '\n';
  }
}

const encode = (entries: readonly Entry[]): string =>
  entries.map(entry => `${JSON.stringify(entry)}\n`).join('');

/** How far the log of each amphora was read. */
class Reading {
  #positions = new Map<string, LogPosition>();
  readonly #deps: ApiDeps;
  readonly #log: AccessLog;
  readonly #loadBalancerId: string;

  constructor(deps: ApiDeps, log: AccessLog, loadBalancerId: string) {
    this.#deps = deps;
    this.#log = log;
    this.#loadBalancerId = loadBalancerId;
  }

  async newest(limit: number): Promise<Entry[]> {
    const ids = await listAmphoraIds(this.#deps.db, this.#loadBalancerId);
    const entries = await this.#readAll(ids, () => ({ limit }));
    return limit === 0 ? [] : entries.slice(-limit);
  }

  /** False when the load balancer is there no more. */
  async findAmphorae(): Promise<boolean> {
    const ids = await listAmphoraIds(this.#deps.db, this.#loadBalancerId);
    this.#positions = new Map(ids.map(id => [id, this.#positions.get(id) ?? LOG_START]));
    return (await findRecord(this.#deps.db, 'load_balancer', this.#loadBalancerId)) !== undefined;
  }

  async next(): Promise<Entry[]> {
    return this.#readAll([...this.#positions.keys()], id => ({ after: this.#positions.get(id)! }));
  }

  async #readAll(ids: readonly string[], from: (id: string) => Parameters<AccessLog['read']>[1]) {
    const entries: Entry[] = [];
    for (const id of ids) {
      const { lines, position } = await this.#log.read(instanceName(id), from(id));
      this.#positions.set(id, position);
      entries.push(...lines.map(({ time, text }) => ({ time, amphora_id: id, text })));
    }
    return entries.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  }
}
