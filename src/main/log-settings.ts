/** The settings about logs as amphorae and the API want them. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fillRsyslogTemplate, type LogSettings, renderRsyslogConfig } from '../dataplane/rsyslog.ts';
import type { AccessLog } from '../drivers/compute/access-log.ts';
import type { Settings } from './settings.ts';

/** `directory` is where a template without a path is looked for. Throws when it cannot be used. */
export function rsyslogConfigOf({ amphora_agent: agent }: Settings, directory: string): string {
  const settings: LogSettings = {
    tenantTargets: agent.tenant_log_targets,
    adminTargets: agent.admin_log_targets,
    forwardAll: agent.forward_all_logs,
    disableLocalStorage: agent.disable_local_log_storage,
    protocol: agent.log_protocol,
    queueSize: agent.log_queue_size,
    retryCount: agent.log_retry_count,
    retryIntervalS: agent.log_retry_interval,
    userFacility: agent.user_log_facility,
    administrativeFacility: agent.administrative_log_facility,
  };
  if (agent.logging_template_override === null) return renderRsyslogConfig(settings);
  const path = resolve(directory, agent.logging_template_override);
  try {
    return fillRsyslogTemplate(readFileSync(path, 'utf8'), settings);
  } catch (cause) {
    throw new Error(`Cannot use logging_template_override ${path}`, { cause });
  }
}

/** The log itself where users can be shown it, else why they cannot. `log` is undefined where amphorae are out of reach. */
export function accessLogOf(
  { amphora_agent: agent, haproxy_amphora: amphora }: Settings,
  log: AccessLog | undefined,
): AccessLog | { unavailable: string } {
  if (!amphora.connection_logging) return { unavailable: 'connections are not logged on this system' };
  if (agent.disable_local_log_storage || log === undefined)
    return {
      unavailable: agent.tenant_log_targets.length
        ? 'they are sent to the log servers of this system, and kept nowhere else'
        : 'this system keeps them nowhere that the API could read',
    };
  return log;
}
