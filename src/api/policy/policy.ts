/** Who may do what: the default rules with what an operator's policy file says instead, compiled once. */
import { readFileSync, statSync } from 'node:fs';
import { LineCounter, parseDocument } from 'yaml';
import type { Clock } from '../../lib/clock.ts';
import { systemClock } from '../../lib/clock.ts';
import { errorChain } from '../../lib/errors.ts';
import { type Log, silentLog } from '../../lib/log.ts';
import type { Caller } from '../../model/caller.ts';
import { type Check, compileExpression, type Target } from './expression.ts';
import { NAMED_RULES, OPERATION_RULES, PREFIX } from './rules.ts';

/** The rules at one moment. */
export interface Rules {
  /** Others, and so another number, whenever they were read again. */
  readonly serial: number;
  /** Whether rule `context_is_admin` makes the caller an administrator. */
  isAdmin(caller: Caller): boolean;
  /** `rule` is Octavia's name without its prefix, such as `listener:post`. */
  allows(caller: Caller, rule: string, target: Target): boolean;
}

export interface PolicyOptions {
  /** What an operator overrides the rules with; `required` refuses to start without it. */
  file?: { path: string; required: boolean };
  /** Whether only the newer roles count: reader, member and admin. */
  enforceNewDefaults?: boolean;
  /** Whether a token of the whole system, or of a domain, is no administrator by `context_is_admin`. */
  enforceScope?: boolean;
  log?: Log;
  clock?: Pick<Clock, 'now'>;
}

/** A rule of a file, and where it stands in it. */
interface FileRule {
  check: string;
  at: string;
}

const LOOK_INTERVAL_MS = 1000;

/** The rules as they are now: the file is looked at again when it changes. */
export class Policy {
  readonly #options: PolicyOptions;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #log: Log;
  #rules: Rules;
  /** What the file looked like when it was read; undefined while there is none. */
  #seen: string | undefined;
  #lookedAtMs: number;

  /** Throws an error with all that is wrong with the file. */
  constructor(options: PolicyOptions = {}) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLog;
    this.#lookedAtMs = this.#clock.now();
    this.#seen = this.#look();
    if (this.#seen === undefined && options.file?.required)
      throw new Error(`Cannot read policy file ${options.file.path}: there is none`);
    this.#rules = this.#read();
  }

  rules(): Rules {
    const now = this.#clock.now();
    if (this.#options.file && Math.abs(now - this.#lookedAtMs) >= LOOK_INTERVAL_MS) {
      this.#lookedAtMs = now;
      this.#refresh(this.#options.file.path);
    }
    return this.#rules;
  }

  #refresh(path: string): void {
    try {
      const seen = this.#look();
      if (seen === this.#seen) return;
      this.#seen = seen;
      if (seen === undefined) throw new Error('it is gone');
      this.#rules = this.#read();
      this.#log.info({ path }, 'policy file was read again');
    } catch (error) {
      // A slip in the file must neither open the API nor stop it: what held before goes on.
      this.#log.error(
        { path, cause: errorChain(error) },
        'policy file is unusable; the last good rules hold',
      );
    }
  }

  #look(): string | undefined {
    const { file } = this.#options;
    const stat = file && statSync(file.path, { throwIfNoEntry: false });
    return stat && `${stat.ino} ${stat.mtimeMs} ${stat.ctimeMs} ${stat.size}`;
  }

  #read(): Rules {
    const { file, enforceNewDefaults = true, enforceScope = true } = this.#options;
    const overrides =
      file && this.#seen !== undefined ? readRules(file.path, readFileSync(file.path, 'utf8')) : new Map();
    return compileRules({ overrides, enforceNewDefaults, enforceScope });
  }
}

/** A YAML map of names to expressions; JSON is YAML too. Throws with every problem and its line. */
function readRules(path: string, text: string): Map<string, FileRule> {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, uniqueKeys: false });
  const at = (offset = 0) => `${path}, line ${lineCounter.linePos(offset).line}`;
  const [error] = document.errors;
  if (error) throw new Error(`Cannot read policy file ${at(error.pos[0])}: ${error.message.split('\n')[0]}`);
  if (document.contents === null) return new Map();
  const items = (document.contents as { items?: YamlPair[] }).items;
  const rules = new Map<string, FileRule>();
  const problems: string[] = [];
  if (!items?.every(item => item.key !== undefined)) problems.push(`${at()}: it is no map of names to rules`);
  else
    for (const { key, value } of items) {
      const where = at(key?.range?.[0]);
      const check = value === null ? '' : value?.value;
      if (typeof check === 'string' || check === null)
        rules.set(String(key?.value), { check: check ?? '', at: where });
      else problems.push(`${where}: rule ${key?.value} is no text`);
    }
  if (problems.length > 0) throw new Error(`Cannot use policy file ${problems.join('; ')}`);
  return rules;
}

interface YamlPair {
  key?: { value?: unknown; range?: [number, number, number] };
  value?: { value?: unknown } | null;
}

let lastSerial = 0;

function compileRules(options: {
  overrides: ReadonlyMap<string, FileRule>;
  enforceNewDefaults: boolean;
  enforceScope: boolean;
}): Rules {
  const { overrides, enforceNewDefaults, enforceScope } = options;
  const compiled = new Map<string, Check>();
  const open: string[] = [];
  const problems: string[] = [];

  const textOf = (name: string): string | undefined => {
    const named = Object.hasOwn(NAMED_RULES, name) ? NAMED_RULES[name] : undefined;
    const legacy = named?.legacy && !enforceNewDefaults ? ` or ${named.legacy}` : '';
    const standard = named
      ? named.check + legacy
      : OPERATION_RULES.get(name.startsWith(PREFIX) ? name.slice(PREFIX.length) : '');
    return overrides.get(name)?.check ?? standard;
  };
  const find = (name: string): Check => {
    const present = compiled.get(name);
    if (present) return present;
    if (open.includes(name)) throw new Error(`rules go in a circle: ${[...open, name].join(' → ')}`);
    const text = textOf(name);
    if (text === undefined) throw new Error(`there is no rule ${name}`);
    open.push(name);
    const check = compileExpression(text, find);
    open.pop();
    compiled.set(name, check);
    return check;
  };
  const standard = [...Object.keys(NAMED_RULES), ...[...OPERATION_RULES.keys()].map(rule => PREFIX + rule)];
  for (const name of new Set([...overrides.keys(), ...standard])) {
    try {
      find(name);
    } catch (error) {
      const broken = open.at(-1) ?? name;
      open.length = 0;
      const place = overrides.get(broken)?.at ?? overrides.get(name)?.at;
      problems.push(`${place ? `${place}: ` : ''}rule ${broken}: ${(error as Error).message}`);
    }
  }
  if (problems.length > 0) throw new Error(`Cannot use policy file ${[...new Set(problems)].join('; ')}`);

  const isScopeAllowed = (caller: Caller) =>
    !enforceScope || (!caller.system_scope && caller.domain_id === null);
  const operations = new Map([...OPERATION_RULES.keys()].map(rule => [rule, compiled.get(PREFIX + rule)!]));
  return {
    serial: ++lastSerial,
    // Only this rule is enforced under its own name, and so only here scope decides. Source: contract rbac.md 6.1.
    isAdmin: caller =>
      isScopeAllowed(caller) && compiled.get('context_is_admin')!(caller, { project_id: caller.project_id }),
    allows(caller, rule, target) {
      const check = operations.get(rule);
      if (!check) throw new Error(`There is no policy rule ${rule}`);
      return check(caller, target);
    },
  };
}
