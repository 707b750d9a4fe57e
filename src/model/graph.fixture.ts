/** Whole graphs out of the few fields that a test is about; every other field has the API's default. */
import type { Amphora } from './amphora.ts';
import type { LoadBalancerGraph } from './graph.ts';
import type { HealthMonitor } from './health-monitor.ts';
import type { L7Policy, L7Rule } from './l7.ts';
import type { Listener } from './listener.ts';
import type { LoadBalancer } from './load-balancer.ts';
import type { Member, Pool } from './pool.ts';

export interface GraphSketch {
  load_balancer?: Partial<LoadBalancer>;
  listeners?: Partial<Listener>[];
  pools?: Partial<Pool>[];
  members?: Partial<Member>[];
  health_monitors?: Partial<HealthMonitor>[];
  l7policies?: Partial<L7Policy>[];
  l7rules?: Partial<L7Rule>[];
  amphorae?: Partial<Amphora>[];
}

/** The n-th id of a kind: `idOf('member', 2)` is the second member of a sketch unless it says otherwise. */
export function idOf(kind: keyof typeof KINDS, n: number): string {
  return `${String(n).padStart(8, '0')}-0000-4000-8000-${KINDS[kind].padStart(12, '0')}`;
}
const KINDS = {
  lb: '1b',
  listener: '115',
  pool: 'b001',
  member: 'e',
  monitor: 'c4ec',
  l7policy: '17b',
  l7rule: '17e',
  amphora: 'a',
} as const;

/** The n-th of each kind belongs to the first of its parent's kind unless the sketch says otherwise. */
export function buildGraph(sketch: GraphSketch): LoadBalancerGraph {
  const resource = (kind: keyof typeof KINDS, index: number) => ({
    id: idOf(kind, index + 1),
    project_id: '0123456789abcdef0123456789abcdef',
    name: '',
    admin_state_up: true,
    provisioning_status: 'ACTIVE' as const,
    operating_status: 'ONLINE' as const,
    tags: [],
    created_at: `2026-01-01T00:00:${String(index).padStart(2, '0')}.000000`,
    updated_at: null,
    generation: 1,
  });
  const loadbalancer_id = idOf('lb', 1);
  return {
    load_balancer: {
      ...resource('lb', 0),
      description: '',
      vip_address: '203.0.113.10',
      vip_port_id: null,
      vip_subnet_id: null,
      vip_network_id: null,
      vip_qos_policy_id: null,
      vip_sg_ids: [],
      vip_vnic_type: 'normal',
      additional_vips: [],
      vip_port_owned: true,
      provider: 'amphora',
      flavor_id: null,
      availability_zone: null,
      topology: 'SINGLE',
      settled_generation: 1,
      error_reason: null,
      ...sketch.load_balancer,
    },
    listeners: (sketch.listeners ?? []).map((fields, i) => ({
      ...resource('listener', i),
      loadbalancer_id,
      description: '',
      protocol: 'HTTP',
      protocol_port: 80 + i,
      connection_limit: -1,
      default_pool_id: null,
      timeout_client_data: 50_000,
      timeout_member_connect: 5_000,
      timeout_member_data: 50_000,
      timeout_tcp_inspect: 0,
      insert_headers: {},
      default_tls_container_ref: null,
      sni_container_refs: [],
      client_ca_tls_container_ref: null,
      client_authentication: 'NONE',
      client_crl_container_ref: null,
      allowed_cidrs: null,
      tls_ciphers: null,
      tls_versions: null,
      alpn_protocols: null,
      hsts_max_age: null,
      hsts_include_subdomains: false,
      hsts_preload: false,
      ...fields,
    })),
    pools: (sketch.pools ?? []).map((fields, i) => ({
      ...resource('pool', i),
      loadbalancer_id,
      description: '',
      protocol: 'HTTP',
      lb_algorithm: 'ROUND_ROBIN',
      session_persistence: null,
      tls_enabled: false,
      tls_container_ref: null,
      ca_tls_container_ref: null,
      crl_container_ref: null,
      tls_ciphers: null,
      tls_versions: null,
      alpn_protocols: null,
      ...fields,
    })),
    members: (sketch.members ?? []).map((fields, i) => ({
      ...resource('member', i),
      loadbalancer_id,
      pool_id: idOf('pool', 1),
      address: `192.0.2.${i + 1}`,
      protocol_port: 8080,
      weight: 1,
      backup: false,
      subnet_id: null,
      monitor_address: null,
      monitor_port: null,
      vnic_type: 'normal',
      ...fields,
    })),
    health_monitors: (sketch.health_monitors ?? []).map((fields, i) => ({
      ...resource('monitor', i),
      loadbalancer_id,
      pool_id: idOf('pool', 1),
      type: 'HTTP',
      delay: 5,
      timeout: 4,
      max_retries: 2,
      max_retries_down: 3,
      http_method: null,
      url_path: null,
      expected_codes: null,
      http_version: null,
      domain_name: null,
      ...fields,
    })),
    l7policies: (sketch.l7policies ?? []).map((fields, i) => ({
      ...resource('l7policy', i),
      loadbalancer_id,
      listener_id: idOf('listener', 1),
      description: '',
      action: 'REJECT',
      redirect_pool_id: null,
      redirect_url: null,
      redirect_prefix: null,
      redirect_http_code: null,
      position: i + 1,
      ...fields,
    })),
    l7rules: (sketch.l7rules ?? []).map((fields, i) => ({
      ...resource('l7rule', i),
      loadbalancer_id,
      l7policy_id: idOf('l7policy', 1),
      type: 'PATH',
      compare_type: 'STARTS_WITH',
      key: null,
      value: '/api',
      invert: false,
      ...fields,
    })),
    amphorae: (sketch.amphorae ?? [{}]).map((fields, i) => ({
      id: idOf('amphora', i + 1),
      loadbalancer_id,
      compute_id: null,
      lb_network_ip: null,
      vrrp_ip: `203.0.113.${20 + i}`,
      ha_ip: '203.0.113.10',
      vrrp_port_id: null,
      ha_port_id: null,
      cert_expiration: null,
      cert_busy: false,
      role:
        sketch.load_balancer?.topology !== 'ACTIVE_STANDBY' ? 'STANDALONE' : i === 0 ? 'MASTER' : 'BACKUP',
      status: 'ALLOCATED',
      vrrp_interface: null,
      vrrp_id: 1,
      vrrp_priority: null,
      cached_zone: null,
      image_id: null,
      compute_flavor: null,
      built_for: null,
      config_due: false,
      haproxy_changes: null,
      created_at: `2026-01-01T00:00:${String(i).padStart(2, '0')}.000000`,
      updated_at: null,
      ...fields,
    })),
  };
}
