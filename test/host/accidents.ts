/** What may befall the amphorae of a load balancer, and what users may see of it: one table for the tests and the benchmark. */
import { execFileSync } from 'node:child_process';
import { signalProcess } from '../../src/lib/signal.ts';
import {
  type AmphoraProcess,
  agentOf,
  haproxiesOf,
  initOf,
  killAll,
  killInstance,
  processesOf,
  untilEnded,
} from './amphora-processes.ts';
import type { SystemProcess } from './real-system.ts';

/** What an accident befalls. */
export interface Scene {
  system: SystemProcess;
  loadBalancerId: string;
  /** Ids of amphorae: the one that holds the VIP, and the other one of a pair. */
  active: string;
  standby: string | undefined;
  /** Resolves when requests have been answered for so long. */
  calm(ms: number): Promise<void>;
}

export type Half = 'active' | 'standby';

export interface Accident {
  name: string;
  topology: 'SINGLE' | 'ACTIVE_STANDBY';
  /** Spare amphorae that the system keeps; none. */
  spares?: number;
  /** Does the harm; what it resolves after is part of the accident, such as that a link comes back. */
  happen(scene: Scene): void | Promise<void>;
  /** The longest time without an answer that users may see. */
  gapMs: number;
  /** The most requests that may fail; any number within that time. */
  failed?: number;
  /** Who is replaced by another amphora before all is well again. */
  replaced: readonly Half[];
  /** Who of a pair holds the VIP afterwards; undefined: either. */
  holder?: Half;
}

/** What is no accident to users. */
const NOTHING = { gapMs: 250, failed: 0 };
/** Whose request is under way in the moment when the VIP moves loses it. */
const MOVE = { gapMs: 250, failed: 20 };
const TAKEOVER_MS = 1000;
/** Between two looks of keepalived for its haproxy, where nobody else is there to look. */
const CHECK_MS = 1000;
/** Until an amphora is known to be dead, and another one is built. */
const REPLACEMENT_MS = 10_000;
/** An agent learns of its dead haproxy at once. */
const RESTART_MS = 500;
/** A check that gets no answer takes its time, and one alone proves nothing. */
const HANG_MS = 10_000;
/** So long a link that comes back was cut. */
const CUT_MS = 1500;

export const ACCIDENTS: readonly Accident[] = [
  {
    name: 'instance of the active one dies',
    topology: 'ACTIVE_STANDBY',
    happen: scene => killInstance(scene.system.dataDir, scene.active),
    ...{ gapMs: TAKEOVER_MS, replaced: ['active'], holder: 'standby' },
  },
  {
    name: 'instance of the standby one dies',
    topology: 'ACTIVE_STANDBY',
    happen: scene => killInstance(scene.system.dataDir, scene.standby!),
    ...{ ...NOTHING, replaced: ['standby'], holder: 'active' },
  },
  {
    name: 'haproxy of the active one dies',
    topology: 'ACTIVE_STANDBY',
    happen: scene => killAll(haproxiesOf(scene.system.dataDir, scene.active)),
    ...{ gapMs: TAKEOVER_MS, replaced: [] },
  },
  {
    name: 'haproxy of the active one hangs',
    topology: 'ACTIVE_STANDBY',
    happen: scene => hang(haproxiesOf(scene.system.dataDir, scene.active)),
    ...{ gapMs: HANG_MS, replaced: ['active'], holder: 'standby' },
  },
  {
    name: 'agent of the active one dies',
    topology: 'ACTIVE_STANDBY',
    happen: scene => killAll([agentOf(scene.system.dataDir, scene.active)!]),
    ...{ ...NOTHING, replaced: [], holder: 'active' },
  },
  {
    name: 'haproxy and agent of the active one die',
    topology: 'ACTIVE_STANDBY',
    happen: ({ system: { dataDir }, active }) =>
      killAll([agentOf(dataDir, active)!, ...haproxiesOf(dataDir, active)]),
    ...{ gapMs: CHECK_MS + TAKEOVER_MS, replaced: [] },
  },
  {
    name: 'keepalived of the active one dies',
    topology: 'ACTIVE_STANDBY',
    happen: scene => killAll(keepalivedsOf(scene.system.dataDir, scene.active)),
    // The VIPs stay until the other half has them.
    ...{ gapMs: MOVE.gapMs, replaced: [] },
  },
  {
    name: 'keepalived of the standby one dies',
    topology: 'ACTIVE_STANDBY',
    happen: scene => killAll(keepalivedsOf(scene.system.dataDir, scene.standby!)),
    ...{ ...NOTHING, replaced: [], holder: 'active' },
  },
  {
    name: 'keepalived of the active one hangs',
    topology: 'ACTIVE_STANDBY',
    happen: scene => hangUntilEnded(keepalivedsOf(scene.system.dataDir, scene.active)),
    ...{ gapMs: MOVE.gapMs, replaced: [] },
  },
  {
    name: 'keepalived of the standby one hangs',
    topology: 'ACTIVE_STANDBY',
    happen: scene => hangUntilEnded(keepalivedsOf(scene.system.dataDir, scene.standby!)),
    ...{ ...NOTHING, replaced: [], holder: 'active' },
  },
  {
    name: "the active one's VIP link is down for a while",
    topology: 'ACTIVE_STANDBY',
    async happen(scene) {
      const link = hostLinkOf(scene, scene.active, 'eth1');
      ip('link', 'set', link, 'down');
      await scene.calm(CUT_MS).finally(() => ip('link', 'set', link, 'up'));
    },
    ...{ gapMs: TAKEOVER_MS, replaced: [], holder: 'standby' },
  },
  {
    // As by a switch that fails: nobody loses his carrier, and both believe to be alone.
    name: "the active one's VIP network is cut for a while, unnoticed by its link",
    topology: 'ACTIVE_STANDBY',
    async happen(scene) {
      const link = hostLinkOf(scene, scene.active, 'eth1');
      setBridgePort(link, 'disabled');
      await scene.calm(CUT_MS).finally(() => setBridgePort(link, 'forwarding'));
    },
    ...{ gapMs: TAKEOVER_MS, replaced: [] },
  },
  {
    // What cannot be told anything any more is replaced, though it serves.
    name: "the active one's management link is cut",
    topology: 'ACTIVE_STANDBY',
    happen: scene => void ip('link', 'set', hostLinkOf(scene, scene.active, 'eth0'), 'down'),
    ...{ ...MOVE, replaced: ['active'], holder: 'standby' },
  },
  {
    name: 'both instances die',
    topology: 'ACTIVE_STANDBY',
    async happen(scene) {
      await Promise.all([
        killInstance(scene.system.dataDir, scene.standby!),
        killInstance(scene.system.dataDir, scene.active),
      ]);
    },
    ...{ gapMs: REPLACEMENT_MS, replaced: ['active', 'standby'] },
  },
  {
    name: 'instance of the active one and the controller die',
    topology: 'ACTIVE_STANDBY',
    async happen(scene) {
      const { system } = scene;
      await Promise.all([system.end('SIGKILL'), killInstance(scene.system.dataDir, scene.active)]);
      // It starts the instances of its host that do not run, as after a restart of that.
      await scene.calm(CUT_MS).finally(() => system.start());
    },
    ...{ gapMs: TAKEOVER_MS, replaced: [], holder: 'standby' },
  },
  {
    name: 'failover of the active one by the API',
    topology: 'ACTIVE_STANDBY',
    happen: scene => request(scene, `octavia/amphorae/${scene.active}/failover`),
    ...{ ...MOVE, replaced: ['active'] },
  },
  {
    name: 'failover of the load balancer by the API',
    topology: 'ACTIVE_STANDBY',
    happen: scene => request(scene, `lbaas/loadbalancers/${scene.loadBalancerId}/failover`),
    ...{ ...MOVE, replaced: ['active', 'standby'] },
  },
  {
    name: 'instance dies',
    topology: 'SINGLE',
    happen: scene => killInstance(scene.system.dataDir, scene.active),
    ...{ gapMs: REPLACEMENT_MS, replaced: ['active'] },
  },
  {
    name: 'haproxy dies',
    topology: 'SINGLE',
    happen: scene => killAll(haproxiesOf(scene.system.dataDir, scene.active)),
    ...{ gapMs: RESTART_MS, replaced: [] },
  },
  {
    name: 'haproxy hangs',
    topology: 'SINGLE',
    happen: scene => hang(haproxiesOf(scene.system.dataDir, scene.active)),
    ...{ gapMs: REPLACEMENT_MS, replaced: ['active'] },
  },
  {
    name: 'agent dies',
    topology: 'SINGLE',
    happen: scene => killAll([agentOf(scene.system.dataDir, scene.active)!]),
    ...{ ...NOTHING, replaced: [] },
  },
  {
    name: 'failover by the API',
    topology: 'SINGLE',
    happen: scene => request(scene, `lbaas/loadbalancers/${scene.loadBalancerId}/failover`),
    ...{ ...MOVE, replaced: ['active'] },
  },
  {
    name: 'instance dies, and there is a spare',
    topology: 'SINGLE',
    spares: 1,
    happen: scene => killInstance(scene.system.dataDir, scene.active),
    ...{ gapMs: REPLACEMENT_MS, replaced: ['active'] },
  },
];

export const keepalivedsOf = (dataDir: string, amphoraId: string) =>
  processesOf(dataDir, amphoraId).filter(({ command }) => /^(\S*\/)?keepalived /.test(command));

/** A program in the instance, inside the network namespace that has the VIP's interface. */
export function inside(dataDir: string, amphoraId: string, ...command: string[]): string {
  const enter = [
    '-t',
    String(initOf(dataDir, amphoraId)),
    '-m',
    '-n',
    'ip',
    'netns',
    'exec',
    'amphora-haproxy',
  ];
  return execFileSync('nsenter', [...enter, ...command], { stdio: 'pipe', timeout: 5000 }).toString();
}

/** They neither end nor do anything any more. */
function hang(processes: readonly AmphoraProcess[]): void {
  for (const { pid } of processes) signalProcess(pid, 'SIGSTOP');
}

/** Resolves when somebody has ended them. */
async function hangUntilEnded(processes: readonly AmphoraProcess[]): Promise<void> {
  hang(processes);
  await untilEnded(processes);
}

const ip = (...words: string[]): string =>
  execFileSync('ip', words, { stdio: 'pipe', timeout: 5000 }).toString();

/** `disabled` drops whatever comes to it or from it. */
const setBridgePort = (link: string, state: 'disabled' | 'forwarding'): void =>
  void execFileSync('bridge', ['link', 'set', 'dev', link, 'state', state === 'disabled' ? '0' : '3']);

/** The end on the host of an instance's link: eth0 is the management network's, eth1 the VIP's. */
function hostLinkOf({ system }: Scene, amphoraId: string, name: 'eth0' | 'eth1'): string {
  const show = ['ip', '-json', 'link', 'show', 'dev', name];
  const enter = ['-t', String(initOf(system.dataDir, amphoraId)), '-n', ...show];
  const text =
    name === 'eth1' ? inside(system.dataDir, amphoraId, ...show) : execFileSync('nsenter', enter).toString();
  const index = JSON.parse(text)[0].link_index;
  const links: { ifindex: number; ifname: string }[] = JSON.parse(ip('-json', 'link', 'show'));
  return links.find(link => link.ifindex === index)!.ifname;
}

async function request({ system }: Scene, path: string): Promise<void> {
  await system.api.client.request('PUT', path);
}
