/** /etc/rsyslog.d/10-rsyslog.conf of an amphora: which lines of its log are sent to whom. Source: contract dataplane.md 13. */
import { TerminalError } from '../lib/errors.ts';

/** Options of `[amphora_agent]`, in camelCase. */
export interface LogSettings {
  /** `address:port`, the first one used until it fails. */
  tenantTargets: readonly string[];
  adminTargets: readonly string[];
  forwardAll: boolean;
  disableLocalStorage: boolean;
  protocol: 'UDP' | 'TCP';
  queueSize: number;
  retryCount: number;
  retryIntervalS: number;
  userFacility: number;
  administrativeFacility: number;
}

/** Blank when nothing is sent and everything is kept. */
export function renderRsyslogConfig(settings: LogSettings): string {
  const { userFacility: user, administrativeFacility: admin } = settings;
  const adminLines = settings.forwardAll ? `*.*;local${user}.none` : `local${admin}.*`;
  return [
    // haproxy tells of connections at this level and of itself at higher ones.
    ...forwarding('tenant_forwarding', settings.tenantTargets, `local${user}.=info`, settings),
    ...forwarding('admin_forwarding', settings.adminTargets, adminLines, settings),
    ...(settings.disableLocalStorage ? ['*.* stop\n'] : []),
  ].join('');
}

/** `queue.timeoutEnqueue` is not in the original, where a dead target holds up what is kept in the amphora as well. */
function forwarding(
  name: string,
  targets: readonly string[],
  selector: string,
  { protocol, queueSize, retryCount, retryIntervalS }: LogSettings,
): string[] {
  if (targets.length === 0) return [];
  const actions = targets.map((target, i) => {
    const colon = target.lastIndexOf(':');
    const host = target.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
    return `  action(type="omfwd"
         target=${quoted(host)}
         port=${quoted(target.slice(colon + 1))}
         protocol="${protocol}"
         action.resumeRetryCount="${retryCount}"
         action.resumeInterval="${retryIntervalS}"${i === 0 ? '' : '\n         action.execOnlyWhenPreviousIsSuspended="on"'})
`;
  });
  const queue = `queue.type="linkedList" queue.size="${queueSize}" queue.timeoutEnqueue="0"`;
  return [`ruleset(name="${name}" ${queue}) {\n`, ...actions, '}\n', `${selector} call ${name}\n`];
}

/** A string of RainerScript with this value, whatever it contains. Throws `TerminalError` for control characters, which no option of ours may hold. */
export function quoted(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\x00-\x1f\x7f]/.test(value)) {
    throw new TerminalError(`Cannot write control characters into rsyslog's files: ${JSON.stringify(value)}`);
  }
  const bytes = [...Buffer.from(value, 'utf8')].map(byte => {
    const character = String.fromCharCode(byte);
    return /[\w.:/ -]/.test(character) ? character : `\\${byte.toString(8).padStart(3, '0')}`;
  });
  return `"${bytes.join('')}"`;
}

/**
 * The operator's own template, which stands for all of the above: the values that the original's has are put in.
 * Throws for what only a template engine could do. Source: octavia.conf, logging_template_override.
 */
export function fillRsyslogTemplate(template: string, settings: LogSettings): string {
  const values: Record<string, string | number> = {
    protocol: settings.protocol,
    queue_size: settings.queueSize,
    retry_count: settings.retryCount,
    retry_interval: settings.retryIntervalS,
    admin_log_facility: settings.administrativeFacility,
    user_log_facility: settings.userFacility,
  };
  return template.replace(/\{%.*?%\}|\{\{(.*?)\}\}/gs, (found, expression?: string) => {
    const value = values[expression?.trim() ?? ''];
    if (value !== undefined) return String(value);
    throw new Error(`${found} cannot be filled in: there are ${Object.keys(values).join(', ')}`);
  });
}
