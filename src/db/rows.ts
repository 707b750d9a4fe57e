/** The one place that turns a record into a row and back: booleans, and lists and objects as JSON. */
import type { Amphora } from '../model/amphora.ts';
import type { HealthMonitor } from '../model/health-monitor.ts';
import type { Listener } from '../model/listener.ts';
import type { LoadBalancer } from '../model/load-balancer.ts';
import type { Member, Pool } from '../model/pool.ts';
import type { Stored } from './schema.ts';

interface Records {
  load_balancer: LoadBalancer;
  listener: Listener;
  pool: Pool;
  member: Member;
  health_monitor: HealthMonitor;
  amphora: Amphora;
}

/** The tables that hold records of the model. */
export type RecordTable = keyof Records;
export type RecordOf<T extends RecordTable> = Records[T];

const BOOLEANS: Record<RecordTable, readonly string[]> = {
  load_balancer: ['admin_state_up', 'vip_port_owned'],
  listener: ['admin_state_up', 'hsts_include_subdomains', 'hsts_preload'],
  pool: ['admin_state_up', 'tls_enabled'],
  member: ['admin_state_up', 'backup'],
  health_monitor: ['admin_state_up'],
  amphora: ['cert_busy'],
};

const JSON_COLUMNS: Record<RecordTable, readonly string[]> = {
  load_balancer: ['tags', 'vip_sg_ids', 'additional_vips'],
  listener: [
    'tags',
    'insert_headers',
    'sni_container_refs',
    'allowed_cidrs',
    'tls_versions',
    'alpn_protocols',
  ],
  pool: ['tags', 'session_persistence', 'tls_versions', 'alpn_protocols'],
  member: ['tags'],
  health_monitor: ['tags'],
  amphora: [],
};

/** A whole or partial record as it lies in its columns. */
export function encodeRow<T extends RecordTable, P extends Partial<Records[T]>>(
  table: T,
  record: P,
): Pick<Stored<Records[T]>, keyof P & keyof Records[T]> {
  const row: Record<string, unknown> = { ...record };
  for (const name of BOOLEANS[table]) if (name in row) row[name] = row[name] ? 1 : 0;
  for (const name of JSON_COLUMNS[table]) {
    if (name in row) row[name] = row[name] === null ? null : JSON.stringify(row[name]);
  }
  return row as never;
}

/** A row as the record it holds. */
export function decodeRow<T extends RecordTable>(table: T, row: Stored<Records[T]>): Records[T] {
  const record: Record<string, unknown> = { ...row };
  for (const name of BOOLEANS[table]) record[name] = record[name] === 1 || record[name] === true;
  for (const name of JSON_COLUMNS[table]) {
    if (typeof record[name] === 'string') record[name] = JSON.parse(record[name]);
  }
  return record as never;
}
