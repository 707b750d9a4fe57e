/** The two statuses of every resource, and the status of an amphora. */
export const PROVISIONING_STATUSES = [
  'ACTIVE',
  'PENDING_CREATE',
  'PENDING_UPDATE',
  'PENDING_DELETE',
  'ERROR',
  'DELETED',
] as const;
/** Does reality match the wish; `PENDING_*` means that a worker owes work. */
export type ProvisioningStatus = (typeof PROVISIONING_STATUSES)[number];

export const OPERATING_STATUSES = [
  'ONLINE',
  'OFFLINE',
  'DEGRADED',
  'ERROR',
  'NO_MONITOR',
  'DRAINING',
] as const;
/** Does traffic flow, as the heartbeats tell it. */
export type OperatingStatus = (typeof OPERATING_STATUSES)[number];

export const AMPHORA_STATUSES = [
  'PENDING_CREATE',
  'BOOTING',
  'ALLOCATED',
  'READY',
  'PENDING_DELETE',
  'DELETED',
  'ERROR',
  'FAILOVER_STOPPED',
] as const;
/** `ERROR` and `PENDING_DELETE` are marks: the next pass of the reconciler replaces or releases the amphora. */
export type AmphoraStatus = (typeof AMPHORA_STATUSES)[number];

/** It is not on its way out. */
export function isStaying(row: { provisioning_status: ProvisioningStatus }): boolean {
  return row.provisioning_status !== 'PENDING_DELETE';
}

/** An amphora that the reconciler must replace or release. */
export function isMarked(status: AmphoraStatus): boolean {
  return status === 'ERROR' || status === 'PENDING_DELETE';
}
