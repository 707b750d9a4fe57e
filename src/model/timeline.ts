/** What the reconciler did for a load balancer, and what it will do next, as the API shows it and clients read it. */
import type { OperatingStatus, ProvisioningStatus } from './status.ts';

/**
 * `settled`: all that was accepted is in effect. `working`: a pass is under way. `failing`: the last pass failed and will be
 * repeated. `waiting`: the last pass has to wait for something. `queued`: work is owed, and no pass has begun.
 */
export const TIMELINE_STATES = ['settled', 'working', 'failing', 'waiting', 'queued', 'deleted'] as const;
export type TimelineState = (typeof TIMELINE_STATES)[number];

export const PASS_OUTCOMES = ['done', 'waiting', 'failed', 'removed'] as const;

export interface TimelineStep {
  step: string;
  started_at: string;
  duration_ms: number;
  outcome: 'ok' | 'waiting' | 'failed';
  /** These three are for those who may see amphorae. */
  subject?: string;
  note?: string;
  cause?: string;
}

export interface TimelinePass {
  id: string;
  generation: number;
  started_at: string;
  duration_ms: number;
  outcome: (typeof PASS_OUTCOMES)[number];
  /** Why it failed, or what it waits for. */
  reason: string | null;
  steps: TimelineStep[];
  /** For those who may see amphorae. */
  worker?: string;
}

/** A pass that has not ended. */
export interface PassUnderWay extends Pick<TimelinePass, 'generation' | 'started_at' | 'steps'> {
  /** null between two steps. */
  current: Pick<TimelineStep, 'step' | 'started_at' | 'subject'> | null;
}

export interface Timeline {
  loadbalancer_id: string;
  provisioning_status: ProvisioningStatus;
  operating_status: OperatingStatus;
  state: TimelineState;
  /** When this state began, as far as the passes that are kept tell. */
  since: string | null;
  /** That of the newest accepted write, and of the newest one in effect. */
  generation: number;
  settled_generation: number;
  /** Passes that failed one after the other, up to now. */
  failed_passes: number;
  error_reason: string | null;
  /** null: at once, or nothing is owed. */
  next_try_at: string | null;
  /** null where none runs, or none that has taken more than a moment. */
  under_way: PassUnderWay | null;
  /** The newest last. */
  passes: TimelinePass[];
}
