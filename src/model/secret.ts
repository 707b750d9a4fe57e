/** What the key manager keeps: secrets, containers of secrets, and who may do what with either. */
import type { Caller } from './caller.ts';

export const SECRET_TYPES = [
  'opaque',
  'symmetric',
  'public',
  'private',
  'passphrase',
  'certificate',
] as const;
export type SecretType = (typeof SECRET_TYPES)[number];

export const CONTAINER_TYPES = ['generic', 'rsa', 'certificate'] as const;
export type ContainerType = (typeof CONTAINER_TYPES)[number];

/** The secrets that a container of each type holds, by name: needed, then allowed. A generic one holds any. */
export const PARTS_OF_CONTAINER: Readonly<Record<ContainerType, readonly [string[], string[]] | null>> = {
  generic: null,
  rsa: [['public_key', 'private_key'], ['private_key_passphrase']],
  certificate: [['certificate'], ['private_key', 'private_key_passphrase', 'intermediates']],
};

/** Who may read besides the project, or instead of it. */
export interface Acl {
  users: string[];
  /** Without it only who made the item, administrators of the project and `users` may read. */
  project_access: boolean;
  created: string;
  updated: string;
}

/** What secrets and containers have in common. */
export interface KeptItem {
  id: string;
  project_id: string;
  creator_id: string | null;
  name: string | null;
  /** null: everybody in the project. */
  acl: Acl | null;
  created_at: string;
  updated_at: string;
}

/** All of a secret but its payload. */
export interface KeptSecret extends KeptItem {
  secret_type: SecretType;
  algorithm: string | null;
  bit_length: number | null;
  mode: string | null;
  /** After this time it is as if it had been deleted. */
  expiration: string | null;
  /** null until there is a payload. */
  content_type: string | null;
  metadata: Record<string, string>;
}

export interface SecretContainer extends KeptItem {
  type: ContainerType;
}

/** Who uses an item, in the words of the API: `{service, resource_type, resource_id}`, or of a container `{name, URL}`. */
export type Consumer = Record<string, string>;

/** `list`: see that it is there. `read`: its payload. `write`: all else. Source: Barbican's default policies. */
export type KeyDeed = 'list' | 'read' | 'write';

const ROLES: Readonly<Record<KeyDeed, readonly string[]>> = {
  list: ['member', 'creator', 'reader', 'observer', 'audit'],
  read: ['member', 'creator'],
  write: ['member', 'creator'],
};

/** Whether the caller may do that in a project at all; `item` says whose it is, unless it is yet to be made. */
export function mayUse(
  caller: Caller,
  deed: KeyDeed,
  item: Pick<KeptItem, 'project_id' | 'creator_id' | 'acl'>,
): boolean {
  const { user_id } = caller;
  if (deed !== 'write' && user_id !== null && item.acl?.users.includes(user_id)) return true;
  if (item.project_id !== caller.project_id) return false;
  if (caller.is_admin || caller.roles.includes('admin')) return true;
  const isPrivate = item.acl?.project_access === false && item.creator_id !== user_id;
  return !isPrivate && caller.roles.some(role => ROLES[deed].includes(role));
}
