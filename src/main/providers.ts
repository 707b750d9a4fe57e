/** The table of providers, by the names that users may give. */
import type { ProviderEntry } from '../api/server.ts';
import { renderAgentConfig } from '../dataplane/agent-config.ts';
import type { CertificateAuthority } from '../drivers/certificates/authority.ts';
import type { SecretStore } from '../drivers/certificates/secrets.ts';
import type { Secret } from '../lib/secret.ts';
import { AmphoraProvider } from '../providers/amphora/amphora-provider.ts';
import { NoopProvider } from '../providers/noop-provider.ts';
import type { Provider } from '../providers/provider.ts';
import { haproxySettingsOf, vrrpSettingsOf } from './api-settings.ts';
import type { Cloud } from './cloud.ts';
import { garbageSettingsOf } from './housekeeping-settings.ts';
import { rsyslogConfigOf } from './log-settings.ts';
import type { Parts } from './parts.ts';
import { describedProviders } from './start-checks.ts';

export interface ProviderParts {
  authority: CertificateAuthority;
  secrets: SecretStore;
  cloud: Cloud;
  heartbeatKey: Secret;
}

export function buildProviders(parts: Parts, own: ProviderParts): Map<string, ProviderEntry> {
  const { cloud, authority, secrets, heartbeatKey } = own;
  const { settings, configDirectory, db, clock, log } = parts;
  const {
    controller_worker: worker,
    health_manager: health,
    haproxy_amphora,
    amphora_agent: agent,
  } = settings;
  const gateway = `${cloud.heartbeatAddress ?? health.bind_ip}:${health.bind_port}`;
  const listed = health.controller_ip_port_list;
  const amphora = new AmphoraProvider({
    ...{ db, authority, secrets, log, clock },
    compute: cloud.compute,
    network: cloud.network,
    amphora: cloud.amphora,
    settings: {
      haproxy: haproxySettingsOf(settings),
      vrrp: vrrpSettingsOf(settings),
      bootNetworks:
        worker.amp_boot_network_list.length > 0
          ? [...worker.amp_boot_network_list]
          : [cloud.managementNetworkId],
      agentWaitMs: 10_000,
      agentPollMs: 20,
      askTries: haproxy_amphora.failover_connection_max_retries,
      askLimitMs: haproxy_amphora.failover_connection_retry_interval * 1000,
      bootLimitMs: worker.amp_active_retries * worker.amp_active_wait_sec * 1000,
      garbage: garbageSettingsOf(settings),
    },
    rsyslogConfig: rsyslogConfigOf(settings, configDirectory),
    agentConfig: ({ id }, topology) =>
      renderAgentConfig({
        amphora_id: id,
        topology,
        debug: settings.DEFAULT.debug,
        base_path: haproxy_amphora.base_path,
        base_cert_dir: haproxy_amphora.base_cert_dir,
        haproxy_cmd: haproxy_amphora.haproxy_cmd,
        member_drain_timeout: haproxy_amphora.member_drain_timeout,
        user_log_facility: agent.user_log_facility,
        administrative_log_facility: agent.administrative_log_facility,
        controller_ip_port_list: listed.length > 0 ? listed : [gateway],
        heartbeat_interval: health.heartbeat_interval,
        heartbeat_key: heartbeatKey,
        agent_server_ca: agent.agent_server_ca,
        agent_server_cert: agent.agent_server_cert,
        agent_request_read_timeout: agent.agent_request_read_timeout,
        agent_tls_protocol: agent.agent_tls_protocol,
      }),
  });
  const all: Record<string, Provider> = {
    ...{ amphora, octavia: amphora },
    ...{ noop: new NoopProvider(), noop_driver: new NoopProvider('noop_driver') },
  };
  const enabled = describedProviders(settings.api_settings.enabled_provider_drivers);
  const entries = enabled.flatMap(([name, description]) => {
    const provider = all[name];
    return provider ? [[name, { provider, network: cloud.network, description }] as const] : [];
  });
  return new Map(entries);
}
