/** What a noun of the CLI is made of; the verbs are the same for all. */
import type { Command } from 'commander';
import type { Client } from './client.ts';
import { KINDS, type KindName } from './kinds.ts';
import type { Terminal } from './output.ts';

/** What every verb works with. */
export interface Context {
  terminal: Terminal;
  connect(): Client;
}

export type Verb = 'create' | 'list' | 'show' | 'set' | 'unset' | 'delete';

/** One option, named as in the `openstack` client. Source: contract clients.md 4. */
export interface Option {
  /** In commander's form: `--vip-subnet-id <subnet>`; a kind of thing in the brackets is resolved and completed. */
  flags: string;
  sentence: string;
  /** The field of the body, or the filter of a list; the flag's own name unless told. */
  field: string;
  /** The verbs that have it, as `create! set list`; the mark is on a verb that cannot do without it. */
  on: string;
  /** The only values there are, in any case. */
  choices?: readonly string[];
  /** Throws an error whose message ends the sentence `option '--flag' argument 'text' is invalid.` */
  read?: (text: string) => unknown;
  /** May be given again and again; the values are collected. */
  repeated?: boolean;
  /** An option without a value, and what it stands for. */
  value?: unknown;
}

/** A verb of one noun only: a request to something below the thing. */
export interface Action {
  name: string;
  sentence: string;
  /** What is added to the thing's path. */
  path: string;
  /** GET unless told; then what it answers is shown. */
  method?: 'PUT';
}

export interface Noun {
  kind: KindName;
  /** The heading under which help lists it. */
  group: string;
  /** Commands: `listener`, and other names it goes by. */
  names: readonly [string, ...string[]];
  sentence: string;
  /** What is not here has all verbs, and `unset` if there is something to unset. */
  verbs?: string;
  /** `create` takes the thing it belongs to as an argument, whose id goes into this field. */
  parentField?: { kind: KindName; field: string };
  /** `create` takes the name as an argument. */
  namedByArgument?: boolean;
  /** Shown by `list`; and with `--long`. */
  columns: string;
  longColumns?: string;
  options: readonly Option[];
  /** Options of `unset`, without the dashes. */
  unset?: string;
  /** Has tags, and a provisioning status that can be waited for. */
  tagged?: boolean;
  /** Its deletion and actions can be waited for; what is tagged can, anyway. */
  waits?: boolean;
  /** Has `--cascade` on delete. */
  cascade?: boolean;
  actions?: readonly Action[];
  /** What `show` prints for people in place of a field whose value only machines read. */
  readable?: Readonly<Record<string, (value: unknown) => string>>;
  /** Puts in what the user need not say. */
  complete?(body: Record<string, unknown>): void;
  /** Adds the verbs that are like no other's. */
  extend?(command: Command, context: Context): void;
}

export function noun(
  kind: KindName,
  group: string,
  sentence: string,
  rest: Partial<Noun> & Pick<Noun, 'columns'>,
): Noun {
  return { kind, group, names: [kind], sentence, options: [], ...rest };
}

/** Lists in tables of nouns are written as one text. */
export const wordsOf = (text = ''): string[] => text.split(/\s+/).filter(word => word !== '');

export const CHANGE = 'create set';

export function option(flags: string, sentence: string, on = CHANGE, rest: Partial<Option> = {}): Option {
  const [, flag = '', placeholder = ''] = /^--([\w-]+)(?: <([\w-]+))?/.exec(flags)!;
  const kind = KINDS[placeholder as KindName];
  const field = flag.replaceAll('-', '_');
  if (kind?.key !== 'id') return { flags, sentence, field, on, ...rest };
  const idField = field.endsWith('_id') ? field : `${field}_id`;
  return { flags, sentence: `${sentence} (name or id)`, field: idField, on, ...rest };
}

export const between =
  (least: number, most: number) =>
  (text: string): number => {
    const number = integer(text);
    if (number < least || number > most) throw new Error(`it must be from ${least} to ${most}`);
    return number;
  };

export function integer(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new Error('it must be an integer');
  return Number(text);
}

export const port = between(1, 65535);

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

/** Pairs with these keys only, given the API's names. */
export const pairsOf =
  (...keys: string[]) =>
  (text: string): Record<string, string> => {
    const found = Object.entries(pairs(text));
    const unknown = found.find(([key]) => !keys.includes(key));
    if (unknown) throw new Error(`${unknown[0]} is not among ${keys.join(', ')}`);
    return Object.fromEntries(found.map(([key, value]) => [key.replaceAll('-', '_'), value]));
  };

/** `none`, `null` and `void` take a reference away. Source: contract clients.md 3, 4.2. */
export function reference(text: string): string | null {
  return ['none', 'null', 'void'].includes(text.toLowerCase()) ? null : text;
}

export const ALL = 'create set list';

export const NAME = option('--name <name>', 'Its name', ALL);
export const DESCRIPTION = option('--description <text>', 'A text about it');
export const PROJECT_FILTER = option('--project <project>', 'Those of this project', 'list');

/** `--enable` and `--disable`, under either of the names that APIs have for it. */
export const enabling = (field: 'admin_state_up' | 'enabled'): readonly Option[] => [
  option('--enable', 'Switched on', ALL, { field, value: true }),
  option('--disable', 'Switched off', ALL, { field, value: false }),
];

/** What most parts of a load balancer have. */
export const BASICS = [NAME, DESCRIPTION, ...enabling('admin_state_up'), PROJECT_FILTER];

/** Lists of TLS words, given one at a time. */
export const TLS_OPTIONS: readonly Option[] = [
  option('--tls-ciphers <ciphers>', 'OpenSSL cipher string'),
  option('--tls-version <version>', 'A TLS version (repeat for more)', CHANGE, {
    ...{ field: 'tls_versions', repeated: true, choices: ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] },
  }),
  option('--alpn-protocol <protocol>', 'An ALPN protocol (repeat for more)', CHANGE, {
    ...{ field: 'alpn_protocols', repeated: true, choices: ['h2', 'http/1.1', 'http/1.0'] },
  }),
];

/** Ways to ask for tags. Source: contract api.md 3.2. */
export const TAG_FILTERS: readonly Option[] = [
  option('--tags <tags>', 'Those with all of these tags: a,b', 'list'),
  option('--any-tags <tags>', 'Those with at least one of these tags', 'list', { field: 'tags-any' }),
  option('--not-tags <tags>', 'Those without at least one of these tags', 'list', { field: 'not-tags' }),
  option('--not-any-tags <tags>', 'Those with none of these tags', 'list', { field: 'not-tags-any' }),
];
