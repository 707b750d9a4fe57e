/** What answers hold, as JSON schemas: the public document is made of them, and tests hold real answers against them. */
import { type TProperties, type TSchema, Type } from 'typebox';
import { AMPHORA_ROLES } from '../../model/amphora.ts';
import { HEALTH_MONITOR_TYPES, HTTP_METHODS } from '../../model/health-monitor.ts';
import { L7POLICY_ACTIONS, L7RULE_COMPARE_TYPES, L7RULE_TYPES } from '../../model/l7.ts';
import { CLIENT_AUTHENTICATION_MODES, LISTENER_PROTOCOLS } from '../../model/listener.ts';
import { LB_ALGORITHMS, POOL_PROTOCOLS, SESSION_PERSISTENCE_TYPES } from '../../model/pool.ts';
import { AMPHORA_STATUSES, OPERATING_STATUSES, PROVISIONING_STATUSES } from '../../model/status.ts';
import { PASS_OUTCOMES, TIMELINE_STATES } from '../../model/timeline.ts';

const text = Type.String();
const number = Type.Integer();
const flag = Type.Boolean();
const texts = Type.Array(text);
const id = Type.String({ format: 'uuid' });
const ids = Type.Array(Type.Object({ id }, { additionalProperties: false }));
const time = Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,6})?$' });
const oneOf = (choices: readonly string[]) => Type.Enum([...choices]);
const orNull = (schema: TSchema) => Type.Union([schema, Type.Null()]);
/** Nothing but these, and all of them but what is optional. */
const exactly = (properties: TProperties) => Type.Object(properties, { additionalProperties: false });

const STATUSES = {
  provisioning_status: oneOf(PROVISIONING_STATUSES),
  operating_status: oneOf(OPERATING_STATUSES),
};
const RULE_BASE: TProperties = {
  id,
  ...STATUSES,
  admin_state_up: flag,
  project_id: orNull(text),
  tenant_id: orNull(text),
  created_at: time,
  updated_at: orNull(time),
  tags: texts,
};
const BASE: TProperties = { name: text, ...RULE_BASE };
const TLS: TProperties = {
  tls_ciphers: orNull(text),
  tls_versions: orNull(texts),
  alpn_protocols: orNull(texts),
};

const memberProperties: TProperties = {
  ...BASE,
  ...{ address: text, protocol_port: number, weight: number, backup: flag, vnic_type: text },
  ...{ subnet_id: orNull(id), monitor_address: orNull(text), monitor_port: orNull(number) },
};
const monitorProperties: TProperties = {
  ...BASE,
  ...{ type: oneOf(HEALTH_MONITOR_TYPES), delay: number, timeout: number },
  ...{ max_retries: number, max_retries_down: number },
  ...{ http_method: orNull(oneOf(HTTP_METHODS)), url_path: orNull(text), expected_codes: orNull(text) },
  ...{ http_version: orNull(Type.Number()), domain_name: orNull(text) },
};
const ruleProperties: TProperties = {
  ...RULE_BASE,
  ...{ type: oneOf(L7RULE_TYPES), compare_type: oneOf(L7RULE_COMPARE_TYPES) },
  ...{ key: orNull(text), value: text, invert: flag },
};
const policyProperties: TProperties = {
  ...BASE,
  ...{ description: text, action: oneOf(L7POLICY_ACTIONS), listener_id: id, position: number },
  ...{ redirect_pool_id: orNull(id), redirect_url: orNull(text), redirect_prefix: orNull(text) },
  redirect_http_code: orNull(number),
};
const poolProperties: TProperties = {
  ...BASE,
  ...{ description: text, protocol: oneOf(POOL_PROTOCOLS), lb_algorithm: oneOf(LB_ALGORITHMS) },
  session_persistence: orNull(
    exactly({
      ...{ type: oneOf(SESSION_PERSISTENCE_TYPES), cookie_name: orNull(text) },
      ...{ persistence_timeout: orNull(number), persistence_granularity: orNull(text) },
    }),
  ),
  ...{ tls_enabled: flag, tls_container_ref: orNull(text) },
  ...{ ca_tls_container_ref: orNull(text), crl_container_ref: orNull(text) },
  ...TLS,
};
const listenerProperties: TProperties = {
  ...BASE,
  ...{ description: text, protocol: oneOf(LISTENER_PROTOCOLS), protocol_port: number },
  ...{ connection_limit: number, default_pool_id: orNull(id), insert_headers: Type.Record(text, text) },
  ...{ timeout_client_data: number, timeout_member_connect: number, timeout_member_data: number },
  ...{ timeout_tcp_inspect: number, allowed_cidrs: orNull(texts) },
  ...{ default_tls_container_ref: orNull(text), sni_container_refs: texts },
  ...{ client_ca_tls_container_ref: orNull(text), client_crl_container_ref: orNull(text) },
  client_authentication: oneOf(CLIENT_AUTHENTICATION_MODES),
  ...TLS,
  ...{ hsts_max_age: orNull(number), hsts_include_subdomains: flag, hsts_preload: flag },
};
const loadBalancerProperties: TProperties = {
  ...BASE,
  ...{ description: text, vip_address: orNull(text), vip_port_id: orNull(id), vip_subnet_id: orNull(id) },
  ...{
    vip_network_id: orNull(id),
    vip_qos_policy_id: orNull(id),
    vip_sg_ids: Type.Array(id),
    vip_vnic_type: text,
  },
  additional_vips: Type.Array(exactly({ subnet_id: id, ip_address: orNull(text), port_id: orNull(id) })),
  ...{ provider: text, flavor_id: orNull(id), availability_zone: orNull(text) },
  error_reason: Type.Optional(text),
};

const haproxyChanges = exactly({
  ...{ started: number, reloaded: number, runtime: number },
  last: Type.Array(exactly({ at: text, how: oneOf(['started', 'reloaded']), reason: text })),
});
const member = exactly(memberProperties);
const fullPool = exactly({
  ...poolProperties,
  ...{ listeners: ids, members: Type.Array(member), healthmonitor: orNull(exactly(monitorProperties)) },
});
const fullListener = exactly({
  ...listenerProperties,
  l7policies: Type.Array(exactly({ ...policyProperties, rules: Type.Array(exactly(ruleProperties)) })),
});

/** One object of each kind, by the key around it. */
export const OBJECTS = {
  loadbalancer: exactly({ ...loadBalancerProperties, listeners: ids, pools: ids }),
  listener: exactly({ ...listenerProperties, l7policies: ids, loadbalancers: ids }),
  pool: exactly({
    ...poolProperties,
    ...{ loadbalancers: ids, listeners: ids, members: ids, healthmonitor_id: Type.Optional(id) },
  }),
  member,
  healthmonitor: exactly({ ...monitorProperties, pools: ids }),
  l7policy: exactly({ ...policyProperties, rules: ids }),
  rule: exactly(ruleProperties),
  quota: exactly({
    ...Object.fromEntries(
      ['loadbalancer', 'load_balancer', 'listener', 'member', 'pool', 'healthmonitor', 'health_monitor'].map(
        name => [name, orNull(number)],
      ),
    ),
    ...{
      l7policy: orNull(number),
      l7rule: orNull(number),
      project_id: orNull(text),
      tenant_id: orNull(text),
    },
  }),
  flavor: exactly({ id, name: text, description: text, enabled: flag, flavor_profile_id: id }),
  flavorprofile: exactly({ id, name: text, provider_name: text, flavor_data: text }),
  availability_zone: exactly({
    ...{ name: text, description: text, enabled: flag, availability_zone_profile_id: id },
  }),
  availability_zone_profile: exactly({ id, name: text, provider_name: text, availability_zone_data: text }),
  amphora: exactly({
    ...{ id, loadbalancer_id: orNull(id), compute_id: orNull(text), lb_network_ip: orNull(text) },
    ...{ vrrp_ip: orNull(text), ha_ip: orNull(text), vrrp_port_id: orNull(id), ha_port_id: orNull(id) },
    ...{ cert_expiration: orNull(time), cert_busy: flag, role: orNull(oneOf(AMPHORA_ROLES)) },
    ...{
      status: oneOf(AMPHORA_STATUSES),
      haproxy_changes: orNull(haproxyChanges),
      vrrp_interface: orNull(text),
      vrrp_id: orNull(number),
    },
    ...{ vrrp_priority: orNull(number), cached_zone: orNull(text), image_id: orNull(text) },
    ...{ compute_flavor: orNull(text), created_at: time, updated_at: orNull(time) },
  }),
} satisfies Record<string, TSchema>;

const STATISTICS: TProperties = {
  ...{ bytes_in: number, bytes_out: number, active_connections: number },
  ...{ total_connections: number, request_errors: number },
};
const STATUS_NODE: TProperties = { id, name: text, ...STATUSES };

const offers = Type.Array(exactly({ name: text, description: text }));

const timelineStep = exactly({
  ...{ step: text, started_at: time, duration_ms: number, outcome: oneOf(['ok', 'waiting', 'failed']) },
  ...{ subject: Type.Optional(text), note: Type.Optional(text), cause: Type.Optional(text) },
});

/** Whole answers that are no single object of a kind and no list of them, by their key. */
export const DOCUMENTS = {
  created_loadbalancer: exactly({
    ...{ ...loadBalancerProperties, listeners: Type.Array(fullListener), pools: Type.Array(fullPool) },
  }),
  stats: exactly(STATISTICS),
  amphora_stats: Type.Array(exactly({ ...STATISTICS, id, listener_id: id, loadbalancer_id: orNull(id) })),
  statuses: exactly({
    loadbalancer: exactly({
      ...STATUS_NODE,
      listeners: Type.Array(
        exactly({
          ...STATUS_NODE,
          pools: Type.Array(
            exactly({
              ...STATUS_NODE,
              health_monitor: orNull(exactly({ ...STATUS_NODE, type: oneOf(HEALTH_MONITOR_TYPES) })),
              members: Type.Array(exactly({ ...STATUS_NODE, address: text, protocol_port: number })),
            }),
          ),
        }),
      ),
    }),
  }),
  logs: Type.Array(exactly({ time, amphora_id: id, text })),
  timeline: exactly({
    ...{ loadbalancer_id: id, ...STATUSES, state: oneOf(TIMELINE_STATES), since: orNull(time) },
    ...{ generation: number, settled_generation: number, failed_passes: number },
    ...{ error_reason: orNull(text), next_try_at: orNull(time) },
    under_way: orNull(
      exactly({
        ...{ generation: number, started_at: time, steps: Type.Array(timelineStep) },
        current: orNull(exactly({ step: text, started_at: time, subject: Type.Optional(text) })),
      }),
    ),
    passes: Type.Array(
      exactly({
        ...{ id, generation: number, started_at: time, duration_ms: number, outcome: oneOf(PASS_OUTCOMES) },
        ...{ reason: orNull(text), worker: Type.Optional(text) },
        steps: Type.Array(timelineStep),
      }),
    ),
  }),
  providers: offers,
  flavor_capabilities: offers,
  availability_zone_capabilities: offers,
} satisfies Record<string, TSchema>;

/** The page before and the page after. */
export const LINKS = Type.Array(exactly({ rel: oneOf(['next', 'previous']), href: text }));

/** What is wrong, for every status from 400 on. */
export const FAULT = exactly({
  faultcode: oneOf(['Client', 'Server']),
  faultstring: text,
  debuginfo: Type.Null(),
});
