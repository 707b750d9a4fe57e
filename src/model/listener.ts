/** The listener: a protocol and a port on the VIP. */
import type { Resource } from './load-balancer.ts';

export const LISTENER_PROTOCOLS = [
  'HTTP',
  'HTTPS',
  'TCP',
  'TERMINATED_HTTPS',
  'UDP',
  'SCTP',
  'PROMETHEUS',
] as const;
export type ListenerProtocol = (typeof LISTENER_PROTOCOLS)[number];

export const CLIENT_AUTHENTICATION_MODES = ['NONE', 'OPTIONAL', 'MANDATORY'] as const;
export type ClientAuthentication = (typeof CLIENT_AUTHENTICATION_MODES)[number];

/** Oldest first. */
export const TLS_VERSIONS = ['SSLv3', 'TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;

export interface Listener extends Resource {
  loadbalancer_id: string;
  description: string;
  protocol: ListenerProtocol;
  protocol_port: number;
  /** -1 means no limit of the user's own. */
  connection_limit: number;
  default_pool_id: string | null;
  timeout_client_data: number;
  timeout_member_connect: number;
  timeout_member_data: number;
  timeout_tcp_inspect: number;
  insert_headers: Record<string, string>;
  default_tls_container_ref: string | null;
  sni_container_refs: string[];
  client_ca_tls_container_ref: string | null;
  client_authentication: ClientAuthentication;
  client_crl_container_ref: string | null;
  /** null means no restriction. */
  allowed_cidrs: string[] | null;
  tls_ciphers: string | null;
  tls_versions: string[] | null;
  alpn_protocols: string[] | null;
  hsts_max_age: number | null;
  hsts_include_subdomains: boolean;
  hsts_preload: boolean;
}
