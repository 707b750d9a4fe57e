/** The types that a setting may have: how its text is read, and what is said when it cannot be. */
import { parseCidr } from '../lib/addresses.ts';
import { Secret } from '../lib/secret.ts';

export interface Setting<T> {
  /** As it is written in the sample: `integer from 1 to 3600`. */
  type: string;
  sentence: string;
  /** The value when nothing is said. */
  default: T;
  /** The value when nothing is said and everything runs in one process. */
  standalone: T;
  /** Names that older releases gave it, `section.option`. */
  old: readonly string[];
  /** Throws an error whose message ends the sentence `[section] option = text: …`. */
  read(text: string): T;
  /** The inverse of `read`, for the sample file. */
  write(value: T): string;
}

interface Extras<T> {
  standalone?: T;
  old?: readonly string[];
}

function setting<T>(
  type: string,
  sentence: string,
  fallback: T,
  extras: Extras<T> | undefined,
  read: (text: string) => T,
  write: (value: T) => string = String,
): Setting<T> {
  const standalone = extras?.standalone === undefined ? fallback : extras.standalone;
  return { type, sentence, default: fallback, standalone, old: extras?.old ?? [], read, write };
}

export function text(fallback: string, sentence: string, extras?: Extras<string>): Setting<string> {
  return setting('text', sentence, fallback, extras, value => value);
}

export function optionalText(sentence: string, extras?: Extras<string | null>): Setting<string | null> {
  const read = (value: string) => (isNone(value) ? null : value);
  return setting<string | null>('text or nothing', sentence, null, extras, read, value => value ?? '');
}

/** A value that must not reach a log; database URLs carry passwords, so they are secrets too. */
export function secret(fallback: string, sentence: string, extras?: Extras<Secret>): Setting<Secret> {
  const read = (value: string) => new Secret(value);
  return setting('secret text', sentence, new Secret(fallback), extras, read, value => value.reveal());
}

export function integer(
  fallback: number,
  [least, most]: readonly [number, number],
  sentence: string,
  extras?: Extras<number>,
): Setting<number> {
  return setting(`integer from ${least} to ${most}`, sentence, fallback, extras, value =>
    readInteger(value, least, most),
  );
}

export function decimal(
  fallback: number,
  [least, most]: readonly [number, number],
  sentence: string,
  extras?: Extras<number>,
): Setting<number> {
  const type = `number from ${least} to ${most}`;
  return setting(type, sentence, fallback, extras, value => {
    const read = Number(value);
    if (!/^\d+(\.\d{1,2})?$/.test(value.trim()) || read < least || read > most)
      throw new Error(`it must be a ${type} with at most two decimals`);
    return read;
  });
}

export function optionalInteger(
  [least, most]: readonly [number, number],
  sentence: string,
): Setting<number | null> {
  const read = (value: string) => (isNone(value) ? null : readInteger(value, least, most));
  const write = (value: number | null) => (value === null ? '' : String(value));
  return setting<number | null>(
    `integer from ${least} to ${most}, or nothing`,
    sentence,
    null,
    undefined,
    read,
    write,
  );
}

/** Words that oslo.config takes for true and false. */
const TRUE = ['true', '1', 'on', 'yes'];
const FALSE = ['false', '0', 'off', 'no'];

export function boolean(fallback: boolean, sentence: string, extras?: Extras<boolean>): Setting<boolean> {
  return setting('true or false', sentence, fallback, extras, value => {
    const word = value.trim().toLowerCase();
    if (TRUE.includes(word)) return true;
    if (FALSE.includes(word)) return false;
    throw new Error('it must be true or false');
  });
}

/** One of a few words, each with the other spellings that are understood. */
export function choice<const W extends Record<string, readonly string[]>>(
  fallback: keyof W & string,
  words: W,
  sentence: string,
  extras?: Extras<keyof W & string>,
): Setting<keyof W & string> {
  const names = Object.keys(words) as (keyof W & string)[];
  return setting<keyof W & string>(names.join(' | '), sentence, fallback, extras, value => {
    const given = value.trim().toLowerCase();
    const found = names.find(name =>
      [name, ...(words[name] ?? [])].some(spelling => spelling.toLowerCase() === given),
    );
    if (found === undefined) {
      const spellings = names.flatMap(name => [name, ...(words[name] ?? [])]);
      throw new Error(`it must be one of ${spellings.join(', ')}`);
    }
    return found;
  });
}

export function list(
  sentence: string,
  extras: { default?: readonly string[]; old?: readonly string[] } = {},
): Setting<readonly string[]> {
  const write = (value: readonly string[]) => value.join(', ');
  return setting<readonly string[]>(
    'list, separated by commas',
    sentence,
    extras.default ?? [],
    { old: extras.old },
    splitList,
    write,
  );
}

export function colonList(
  sentence: string,
  extras: { old?: readonly string[] } = {},
): Setting<readonly string[]> {
  const read = (value: string) => value.split(':').filter(item => item !== '');
  return setting<readonly string[]>('list, separated by colons', sentence, [], extras, read, value =>
    value.join(':'),
  );
}

export function addressPorts(sentence: string): Setting<readonly string[]> {
  const read = (value: string) => {
    const items = splitList(value);
    for (const item of items) {
      const colon = item.lastIndexOf(':');
      const port = Number(item.slice(colon + 1));
      if (colon < 1 || !Number.isInteger(port) || port < 1 || port > 65535)
        throw new Error(`${item} is not address:port`);
    }
    return items;
  };
  return setting<readonly string[]>('list of address:port', sentence, [], undefined, read, value =>
    value.join(', '),
  );
}

export function cidr(sentence: string): Setting<string> {
  return setting('CIDR or nothing', sentence, '', undefined, value => {
    if (value === '') return '';
    try {
      parseCidr(value);
    } catch (cause) {
      throw new Error('it must be a CIDR such as 10.20.0.0/24', { cause });
    }
    return value;
  });
}

function isNone(value: string): boolean {
  return value === '' || value.toLowerCase() === 'none';
}

function splitList(value: string): string[] {
  return value
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '');
}

function readInteger(value: string, least: number, most: number): number {
  const number = Number(value);
  if (!/^[+-]?\d+$/.test(value.trim()) || number < least || number > most)
    throw new Error(`it must be an integer from ${least} to ${most}`);
  return number;
}
