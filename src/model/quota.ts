/** Quotas: how many of each resource a project may have. */

/** What is counted, by its table. Parents before children. */
export const QUOTA_TABLES = [
  'load_balancer',
  'listener',
  'member',
  'pool',
  'health_monitor',
  'l7policy',
  'l7rule',
] as const;
export type QuotaTable = (typeof QUOTA_TABLES)[number];

export const UNLIMITED = -1;

/** null is the operator's default. */
export type Quota = { project_id: string } & Record<QuotaTable, number | null>;
