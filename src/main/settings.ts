/** Reads the settings: octavia.conf, then the environment, then the command line; checked whole, then frozen. */
import { type Ini, parseIni } from '../lib/ini.ts';
import { isKnownOption, knownOptionNames } from './known-options.ts';
import type { Setting } from './setting-types.ts';
import { SETTINGS } from './settings-table.ts';

type Table = typeof SETTINGS;
type ValueOf<S> = S extends Setting<infer T> ? T : never;

/** section → option → value, typed by the table. */
export type Settings = {
  readonly [S in keyof Table]: { readonly [O in keyof Table[S]]: ValueOf<Table[S][O]> };
};

export interface SettingsSource {
  /** Which column of defaults counts: everything in one process, or one program of many. */
  program: 'standalone' | 'controller';
  /** Configuration files in order; what a later one says wins. */
  files?: readonly { path: string; text: string }[];
  /** Only names of the form `OS_<GROUP>__<OPTION>` are looked at. */
  environment?: NodeJS.ProcessEnv;
  /** What the command line says, by `section.option`. */
  commandLine?: Readonly<Record<string, string | undefined>>;
}

export interface ReadSettings {
  settings: Settings;
  /** Sentences for the log: options that are read past, and names that nobody knows. */
  remarks: string[];
}

/** Thrown with every problem of every source, one per line. */
export class SettingsError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(
      problems.length === 1
        ? `Cannot use the settings: ${problems[0]}`
        : `Cannot use the settings, ${problems.length} problems:\n${problems.map(p => `  ${p}`).join('\n')}`,
    );
    this.name = 'SettingsError';
    this.problems = problems;
  }
}

interface Given {
  text: string;
  /** Where it was said, for a sentence: `octavia.conf`, `OS_DEFAULT__DEBUG`, `the command line`. */
  origin: string;
}

const TABLE = SETTINGS as unknown as Record<string, Record<string, Setting<unknown>>>;

export function readSettings(source: SettingsSource): ReadSettings {
  const problems: string[] = [];
  const remarks: string[] = [];
  const given = new Map<string, Given>();
  for (const { path, text } of source.files ?? []) {
    let ini: Ini;
    try {
      ini = parseIni(text);
    } catch (error) {
      problems.push(`${path}: ${(error as Error).message}`);
      continue;
    }
    collectFile(ini, path, given, problems, remarks);
  }
  collectEnvironment(source.environment ?? {}, given, remarks);
  for (const [name, text] of Object.entries(source.commandLine ?? {})) {
    if (text !== undefined) given.set(name, { text, origin: 'the command line' });
  }

  const settings: Record<string, Record<string, unknown>> = {};
  for (const { section, option, row } of rows()) {
    const said = given.get(`${section}.${option}`);
    let value = source.program === 'standalone' ? row.standalone : row.default;
    if (said) {
      try {
        value = row.read(said.text);
      } catch (error) {
        const shown = row.type === 'secret text' ? '…' : said.text;
        problems.push(`${said.origin}: [${section}] ${option} = ${shown}: ${(error as Error).message}`);
      }
    }
    settings[section] = { ...settings[section], [option]: value };
  }
  if (problems.length > 0) throw new SettingsError(problems);
  for (const section of Object.values(settings)) Object.freeze(section);
  return { settings: Object.freeze(settings) as unknown as Settings, remarks };
}

export function* rows(): Generator<{ section: string; option: string; row: Setting<unknown> }> {
  for (const [section, options] of Object.entries(TABLE)) {
    for (const [option, row] of Object.entries(options)) yield { section, option, row };
  }
}

/** Old name → new name. */
const RENAMED = new Map([...rows()].flatMap(r => r.row.old.map(old => [old, `${r.section}.${r.option}`])));

function collectFile(
  ini: Ini,
  path: string,
  given: Map<string, Given>,
  problems: string[],
  remarks: string[],
): void {
  for (const [section, options] of ini) {
    for (const [option, values] of options) {
      const written = `${section}.${option}`;
      const name = TABLE[section]?.[option] ? written : RENAMED.get(written);
      if (name !== undefined) {
        // The new name wins over the old one in the same file, wherever it stands.
        const newName = name.split('.') as [string, string];
        if (name !== written && ini.get(newName[0])?.has(newName[1])) continue;
        try {
          given.set(name, { text: substitute(values.at(-1) ?? '', section, ini), origin: path });
        } catch (error) {
          problems.push(`${path}: [${section}] ${option}: ${(error as Error).message}`);
        }
      } else if (isKnownOption(section, option)) {
        remarks.push(`${path}: [${section}] ${option} has no effect in Ottavia`);
      } else {
        const nearest = nearestName(written);
        const hint = nearest ? `; the nearest known is [${nearest.replace('.', '] ')}` : '';
        const sentence = `${path}: [${section}] ${option} is not an option${hint}`;
        // In a file made for Octavia an unknown name may belong to a release we have not seen; in our own section it is a slip.
        (section === 'ottavia' ? problems : remarks).push(sentence);
      }
    }
  }
}

function collectEnvironment(
  environment: NodeJS.ProcessEnv,
  given: Map<string, Given>,
  remarks: string[],
): void {
  const byVariable = new Map([...rows()].map(r => [variableName(r.section, r.option), r]));
  for (const [variable, text] of Object.entries(environment)) {
    if (text === undefined || !/^OS_[A-Z0-9_]+?__[A-Z0-9_]+$/.test(variable)) continue;
    const row = byVariable.get(variable);
    if (row) given.set(`${row.section}.${row.option}`, { text, origin: variable });
    else {
      const [section = '', option = ''] = variable.slice(3).toLowerCase().split('__');
      const known = isKnownOption(section === 'default' ? 'DEFAULT' : section, option);
      remarks.push(`${variable} ${known ? 'has no effect in Ottavia' : 'names no option'}`);
    }
  }
}

/** The environment variable of an option, in the form of oslo.config. */
export function variableName(section: string, option: string): string {
  return `OS_${section}__${option}`.toUpperCase();
}

/** `$name` and `${section.name}` stand for another value of the same file, `$$` for a dollar sign, as in oslo.config. */
function substitute(text: string, section: string, ini: Ini, depth = 0): string {
  if (depth > 10) throw new Error('its $ references go in a circle');
  return text.replace(
    /\$\$|\\\$|\$\{([\w.]+)\}|\$([a-z_][\w.]*)/gi,
    (match, braced?: string, bare?: string) => {
      const name = braced ?? bare;
      if (name === undefined) return '$';
      const dot = name.indexOf('.');
      const places: [string, string][] =
        dot > 0
          ? [[name.slice(0, dot), name.slice(dot + 1)]]
          : [
              [section, name],
              ['DEFAULT', name],
            ];
      for (const [from, option] of places) {
        const row = TABLE[from]?.[option];
        const value = ini.get(from)?.get(option)?.at(-1) ?? row?.write(row.default);
        if (value !== undefined) return substitute(value, from, ini, depth + 1);
      }
      throw new Error(`${match} refers to no option; write $$ for a dollar sign`);
    },
  );
}

function nearestName(written: string): string | undefined {
  const names = [...[...rows()].map(r => `${r.section}.${r.option}`), ...knownOptionNames()];
  const option = written.slice(written.indexOf('.') + 1);
  let best: { name: string; distance: number } | undefined;
  for (const name of names) {
    const own = name.slice(name.indexOf('.') + 1);
    // The right name in the wrong section is as near as one wrong letter.
    const distance = own === option ? 1 : editDistance(written, name);
    if (!best || distance < best.distance) best = { name, distance };
  }
  return best && best.distance <= Math.max(2, Math.floor(option.length / 4)) ? best.name : undefined;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, previous[j]! + 1, row[j - 1]! + 1));
    }
    previous = row;
  }
  return previous[b.length]!;
}
