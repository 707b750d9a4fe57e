/** What a noun of the CLI is made of; the verbs are the same for all. */

export type Verb = 'create' | 'set' | 'list';

/** Where an option's name is turned into an id. */
export type Target =
  | 'loadbalancer'
  | 'listener'
  | 'pool'
  | 'flavor'
  | 'subnet'
  | 'network'
  | 'port'
  | 'security-group'
  | 'qos-policy';

/** One option, named as in `openstack loadbalancer …`. Source: contract clients.md 4. */
export interface Option {
  /** In commander's form: `--vip-subnet-id <subnet>`. */
  flags: string;
  /** The field of the body, or the filter of a list. */
  field: string;
  sentence: string;
  /** The verbs that have it; create and set unless told. */
  verbs?: readonly Verb[];
  /** Of create. */
  required?: boolean;
  /** Throws an error whose message ends the sentence `Cannot use --flag text: …`. */
  read?: (text: string) => unknown;
  /** May be given again and again; the values are collected. */
  repeated?: boolean;
  /** An option without a value, and what it stands for. */
  value?: unknown;
  /** The value is a name or id of such a thing. */
  target?: Target;
}

export interface Noun {
  /** Commands: `listener`, and other names it goes by. */
  names: readonly [string, ...string[]];
  sentence: string;
  /** The root key of a body. */
  singular: string;
  /** The last part of the path and the root key of a list. */
  plural: string;
  /** What `create` takes as its argument: `listener create LB …`. The id goes into this field. */
  parent?: { target: 'loadbalancer' | 'pool'; field: string };
  /** The path goes through the parent, which every verb takes as its first argument. */
  nested?: boolean;
  /** Shown by `list`. */
  columns: readonly string[];
  options: readonly Option[];
  /** Has `--cascade` on delete. */
  cascade?: boolean;
}

export function integer(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new Error('it must be an integer');
  return Number(text);
}

export function port(text: string): number {
  const number = integer(text);
  if (number < 1 || number > 65535) throw new Error('it must be from 1 to 65535');
  return number;
}

/** `K=V,K=V`. */
export function pairs(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(',').map(pair => {
      const equals = pair.indexOf('=');
      if (equals < 1) throw new Error(`${pair} is not of the form key=value`);
      return [pair.slice(0, equals).trim(), pair.slice(equals + 1).trim()];
    }),
  );
}

/** `none`, `null` and `void` take a reference away. Source: contract clients.md 3, 4.2. */
export function reference(text: string): string | null {
  return ['none', 'null', 'void'].includes(text.toLowerCase()) ? null : text;
}

export const upperCase = (text: string): string => text.toUpperCase();

/** What every noun has. */
export const COMMON_OPTIONS: readonly Option[] = [
  { flags: '--name <name>', field: 'name', sentence: 'Its name', verbs: ['create', 'set', 'list'] },
  {
    flags: '--enable',
    field: 'admin_state_up',
    value: true,
    sentence: 'Switch it on',
    verbs: ['create', 'set', 'list'],
  },
  {
    flags: '--disable',
    field: 'admin_state_up',
    value: false,
    sentence: 'Switch it off',
    verbs: ['create', 'set', 'list'],
  },
];

export const DESCRIPTION: Option = {
  flags: '--description <text>',
  field: 'description',
  sentence: 'A text about it',
};

export const PROJECT_FILTER: Option = {
  flags: '--project <id>',
  field: 'project_id',
  sentence: 'Those of this project',
  verbs: ['list'],
};

/** Lists of TLS words, given one at a time. */
export const TLS_OPTIONS: readonly Option[] = [
  { flags: '--tls-ciphers <ciphers>', field: 'tls_ciphers', sentence: 'OpenSSL cipher string' },
  {
    flags: '--tls-version <version>',
    field: 'tls_versions',
    repeated: true,
    sentence: 'A TLS version (repeat for more)',
  },
  {
    flags: '--alpn-protocol <protocol>',
    field: 'alpn_protocols',
    repeated: true,
    sentence: 'An ALPN protocol (repeat for more)',
  },
];
