/** The seam between the agent and whatever balances UDP and SCTP in this kernel. */
import type { HeartbeatPool } from '../../wire/heartbeat.ts';
import type { Observation } from '../haproxy/stats.ts';
import type { LvsListener, LvsMember } from './config-text.ts';

/** Callers see to it that only one change happens at a time. */
export interface LvsEngine {
  /** Makes the kernel balance as the configuration says; flows to members that stay go on. false: it did so already. */
  apply(listenerId: string, listener: LvsListener): Promise<boolean>;
  /** Balances no more; success when it did not. */
  stop(listenerId: string): Promise<void>;
  /** Looks after what was applied, also by an agent before this one: what ended without being asked to is started again. */
  tend(listenerId: string, listener: LvsListener): Promise<void>;
  /** Those that balance now. `withCounts`: the number of flows too, which takes longer. */
  observe(listeners: ReadonlyMap<string, LvsListener>, withCounts: boolean): Promise<LvsObservation[]>;
  /** A shell command that succeeds while the listener is served. */
  liveCommand(listenerId: string): string;
  /** Checks end with the agent; traffic goes on. */
  close(): void;
}

export interface LvsObservation {
  listenerId: string;
  counters: { bin: number; bout: number; stot: number };
  conns: number;
  /** The status of each member that is not disabled. */
  statusOf(member: LvsMember): string;
}

/** As heartbeats report it. Source: contract heartbeat.md 3. */
export function observationOf(listener: LvsListener, seen: LvsObservation): Observation {
  const { counters, conns } = seen;
  const listeners = { [seen.listenerId]: { status: 'OPEN', conns, counters: { ...counters, ereq: 0 } } };
  if (listener.pool === undefined) return { listeners, pools: {} };
  const members = listener.services.flatMap(service => service.members);
  const isMonitored = members.some(member => member.check !== undefined);
  const statuses = members.map(member => [member.id, seen.statusOf(member)] as const);
  const isDown = isMonitored && statuses.every(([, status]) => status === 'DOWN');
  const pool: HeartbeatPool = {
    status: isDown ? 'DOWN' : 'UP',
    members: Object.fromEntries([...statuses, ...listener.disabledMembers.map(id => [id, 'MAINT'])]),
  };
  return { listeners, pools: { [listener.pool]: pool } };
}

/** Of a member that is or is not up. */
export function statusOfMember(member: LvsMember, isUp: boolean, whenDown = 'DOWN'): string {
  if (!isUp) return whenDown;
  if (member.weight === 0) return 'DRAIN';
  return member.check === undefined ? 'no check' : 'UP';
}
