/** `ottavia lb why`: in sentences why a load balancer is in its status, since when, what is being tried, and what comes next. */
import type { Command } from 'commander';
import type { Timeline, TimelinePass } from '../model/timeline.ts';
import { run } from './command.ts';
import { keepFollowing, printable } from './logs.ts';
import type { Context } from './noun.ts';
import { findOne } from './resolve.ts';
import { listGraph, type Node } from './tree.ts';

export function addWhy(noun: Command, { terminal, connect }: Context): void {
  const command = noun
    .command('why <loadbalancer>')
    .description('Tell why it is in its status, since when, what is tried, and what comes next')
    .option('--follow', 'Go on with what happens, until Ctrl-C or until it is gone');
  run(command, async ([text], given) => {
    const client = connect();
    const { row } = await findOne(client, 'loadbalancer', text!);
    const path = `ottavia/loadbalancers/${row.id}/timeline`;
    const name = String(row.name || row.id);
    const print = (lines: readonly string[]) => {
      for (const line of lines) terminal.out.write(`${printable(line)}\n`);
    };
    const { timeline } = (await client.request('GET', path)) as { timeline: Timeline };
    print([
      ...explain(name, timeline, Date.now()),
      ...explainOperation(await listGraph(client, row), timeline),
    ]);
    if (!given.follow) return;
    const known = new Set(timeline.passes.map(({ id }) => id));
    let last = explainState(name, timeline, Date.now());
    await keepFollowing(connect, terminal.err, () => ({
      ...{ path, query: { follow: 'true', limit: '50' } },
      take: value => {
        const next = (value as { timeline: Timeline }).timeline;
        const passes = next.passes.filter(({ id }) => !known.has(id));
        for (const { id } of passes) known.add(id);
        const state = explainState(name, next, Date.now());
        print([...passes.map(renderPass), ...(state === last ? [] : [state])]);
        last = state;
      },
    }));
  });
}

/** What happened last, then how it stands. */
export function explain(name: string, timeline: Timeline, nowMs: number): string[] {
  return [...timeline.passes.slice(-3).map(renderPass), explainState(name, timeline, nowMs)];
}

export function explainState(name: string, timeline: Timeline, nowMs: number): string {
  const { provisioning_status: status, since, generation, settled_generation } = timeline;
  const time = since === null ? '' : ` since ${shortTime(since)} (${duration(nowMs - msOf(since))})`;
  const [began, rest] = WHAT[timeline.state](timeline);
  const owed =
    status === 'PENDING_DELETE'
      ? ' It is to be deleted, and will not be forgotten.'
      : generation > settled_generation
        ? ` Change ${generation} was accepted, ${settled_generation} is in effect.`
        : '';
  return `${name} is ${status}: ${began}${time}.${owed}${rest}`;
}

/** The state, and what comes next. */
const WHAT: Record<Timeline['state'], (timeline: Timeline) => [began: string, rest: string]> = {
  settled: () => ['all that was asked for is in effect', ' Nothing is left to do.'],
  deleted: () => ['it is gone', ''],
  working: ({ failed_passes: failed, under_way: pass }) => [
    pass?.current ? `a worker is at step "${pass.current.step}"` : 'a worker is at it',
    failed > 0 ? ` ${count(failed)} before failed.` : '',
  ],
  queued: () => ['no pass has begun yet', ' A worker takes it up within seconds.'],
  waiting: timeline => [
    `it waits for ${sentence(reasonOf(timeline) ?? 'something')}`,
    ` It is looked at again ${nextTry(timeline)}.`,
  ],
  failing: timeline => [
    'making it so fails',
    ` ${count(timeline.failed_passes)} failed, the last with: ${sentence(timeline.error_reason ?? 'no reason')}.` +
      ` The next try is ${nextTry(timeline)}, or at once when it is changed.`,
  ],
};

const count = (passes: number): string => (passes === 1 ? '1 pass' : `${passes} passes`);
const reasonOf = ({ passes }: Timeline) => passes.at(-1)?.reason;
const nextTry = ({ next_try_at: at }: Timeline): string => (at === null ? 'at once' : `at ${shortTime(at)}`);

function renderPass({ started_at, duration_ms, generation, outcome, reason, steps }: TimelinePass): string {
  const slowest = steps.toSorted((a, b) => b.duration_ms - a.duration_ms)[0];
  const broken = steps.find(step => step.outcome === 'failed');
  const at = broken
    ? `, at step "${broken.step}"${broken.subject ? ` of ${broken.subject}` : ''} after ${duration(broken.duration_ms)}`
    : slowest && slowest.duration_ms > 0
      ? `, ${duration(slowest.duration_ms)} of it for step "${slowest.step}"`
      : '';
  const why = reason === null ? '' : `: ${sentence(reason)}`;
  return `${shortTime(started_at)}  change ${generation}  ${outcome} after ${duration(duration_ms)} and ${steps.length} steps${at}${why}`;
}

/** Operating statuses come from below: what is deepest is the reason. */
export function explainOperation(lb: Node, { operating_status: status }: Pick<Timeline, 'operating_status'>) {
  if (status === 'ONLINE') return [`Its operating status is ONLINE: traffic is served.`];
  const causes = [...new Set(culprits(lb))];
  if (causes.length > 0) return [`Its operating status is ${status}, because of:`, ...causes];
  const off = lb.detail.endsWith('switched off') ? 'it is switched off' : 'no amphora has reported otherwise';
  return [`Its operating status is ${status}: ${off}.`];
}

function culprits(node: Node): string[] {
  return node.children.flatMap(child => {
    const below = culprits(child);
    if (below.length > 0 || !['ERROR', 'DEGRADED'].includes(child.operating_status)) return below;
    return [`  ${child.label} (${child.detail}) is ${child.operating_status}`];
  });
}

const msOf = (time: string): number => Date.parse(`${time.slice(0, 23)}Z`);
const shortTime = (time: string): string => time.replace('T', ' ').slice(0, 23);
const sentence = (text: string): string => text.replace(/\.$/, '');

function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, ms)} ms`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}
