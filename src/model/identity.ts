/** The nouns of the standalone identity, as Keystone v3 spells them, and which roles come with which others. */

/** There is one domain, and nobody makes more. */
export const DOMAIN = { id: 'default', name: 'Default' } as const;

export interface Project {
  id: string;
  name: string;
  description: string;
  enabled: boolean;
  parent_id: string;
  tags: string[];
  /** What clients set beside the known fields, such as with `--property`; shown as it came. */
  extra: Record<string, unknown>;
}

export interface User {
  id: string;
  name: string;
  enabled: boolean;
  default_project_id: string | null;
  /** null: there is no password that would be right. */
  password_hash: string | null;
  extra: Record<string, unknown>;
}

export interface Role {
  id: string;
  name: string;
  description: string | null;
  extra: Record<string, unknown>;
}

/** What a token or a role is about; `id` is that of the project or the domain, or `all` of the system. */
export interface Scope {
  kind: 'project' | 'domain' | 'system';
  id: string;
}

export interface RoleAssignment {
  user_id: string;
  scope_kind: Scope['kind'];
  scope_id: string;
  role_id: string;
}

export interface ApplicationCredential {
  id: string;
  name: string;
  description: string | null;
  user_id: string;
  project_id: string;
  secret_hash: string;
  /** Ids of roles; those that the user has lost since do not count. */
  roles: string[];
  /** May make further credentials. */
  unrestricted: boolean;
  /** Milliseconds since 1970. */
  expires_at_ms: number | null;
}

/** Those a system begins with; they stay as they are, because policies are written with their names. */
export const DEFAULT_ROLES: readonly string[] = [
  'admin',
  'manager',
  'member',
  'reader',
  'service',
  'load-balancer_admin',
  'load-balancer_global_observer',
  'load-balancer_member',
  'load-balancer_observer',
  'load-balancer_quota_admin',
];

/** Who has the first has the second too. Source: contract rbac.md 3.1. */
export const IMPLIED_ROLES: ReadonlyMap<string, string> = new Map([
  ['admin', 'manager'],
  ['manager', 'member'],
  ['member', 'reader'],
]);

/** The names and all that they imply, each once. */
export function withImpliedRoles(names: Iterable<string>): Set<string> {
  const all = new Set(names);
  // A set that grows while it is walked is walked to its new end.
  for (const name of all) {
    const implied = IMPLIED_ROLES.get(name);
    if (implied !== undefined) all.add(implied);
  }
  return all;
}
