/** What commands are put together from: the options of a noun, of output, waiting and files; and how answers are printed. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, Option as CommanderOption, InvalidArgumentError } from 'commander';
import { parse } from 'yaml';
import { CliError } from './cli-error.ts';
import type { Client, Resource } from './client.ts';
import type { Context, Noun, Option, Verb } from './noun.ts';
import { FORMATS, type Format, renderList, renderOne } from './output.ts';
import { waitForActive } from './wait.ts';

/** What commander hands over: values by the option's own name. */
export type Given = Record<string, unknown> & {
  format: Format;
  column?: string[];
  wait?: boolean;
  waitTimeout: number;
  file?: string;
};

export function optionsOf(noun: Noun, verb: Verb): Option[] {
  return noun.options.filter(option => option.on.split(/\W+/).includes(verb));
}

/** The fields of a body, or the filters of a list, that the options say. */
export function fieldsOf(options: readonly Option[], given: Given): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const option of options) {
    const value = given[new CommanderOption(option.flags).attributeName()];
    if (value !== undefined) fields[option.field] = option.value ?? value;
  }
  return fields;
}

export function addOptions(command: Command, options: readonly Option[], verb?: Verb): void {
  for (const option of options) {
    const commanderOption = new CommanderOption(option.flags, option.sentence);
    if (option.on.includes(`${verb}!`)) commanderOption.makeOptionMandatory();
    if (option.choices) commanderOption.argChoices = [...option.choices];
    if (option.value === undefined) {
      commanderOption.argParser<unknown>((text, before) => {
        const value = readValue(option, text);
        return option.repeated ? [...((before as unknown[] | undefined) ?? []), value] : value;
      });
    }
    command.addOption(commanderOption);
  }
}

function readValue({ choices, read }: Option, text: string): unknown {
  const choice = choices?.find(each => each.toLowerCase() === text.toLowerCase());
  if (choices && choice === undefined) throw new InvalidArgumentError(`It must be ${orOf(choices)}.`);
  try {
    return read ? read(choice ?? text) : (choice ?? text);
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
}

const orOf = (words: readonly string[]): string =>
  words.length === 1 ? words[0]! : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;

const collect = (each: string, before: unknown): string[] => [...(Array.isArray(before) ? before : []), each];

const TAG_WORDS: Partial<Record<Verb, readonly [one: string, flag: string, none: string]>> = {
  create: ['A tag', '--no-tag', 'No tags'],
  set: ['One more tag', '--no-tag', 'No tags but those given here'],
  unset: ['A tag that goes', '--all-tag', 'All tags go'],
};

export function addTagOptions(command: Command, verb: Verb): void {
  const [one, flag, sentence] = TAG_WORDS[verb]!;
  const none = new CommanderOption(flag, sentence);
  // Else commander reads --no-tag as the opposite of --tag, and one of the two would be lost.
  none.negate = false;
  command.optionsGroup('Tags:').option('--tag <tag>', `${one} (repeat for more)`, collect).addOption(none);
}

export function addWait(command: Command): void {
  command.optionsGroup('Waiting:').option('--wait', 'Until it is made real, with progress');
  command.addOption(
    new CommanderOption('--wait-timeout <seconds>', 'How long to wait')
      .argParser((text: string) => {
        if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a number of seconds.');
        return Number(text);
      })
      .default(300),
  );
}

/** Ends a command that prints nothing but progress. */
export function run(command: Command, act: (args: string[], given: Given) => Promise<void>): void {
  // Commander passes the arguments, then the options, then the command.
  command.action(async (...all: unknown[]) => act(all.slice(0, -2) as string[], command.opts<Given>()));
}

/** Ends a command that prints an answer. `-f` is its file, too, if it takes one: no file is called `json`. */
export function runAndPrint(command: Command, act: Parameters<typeof run>[1]): void {
  const takesFile = command.options.some(option => option.attributeName() === 'file');
  const format = new CommanderOption('-f, --format <format>', 'How the answer is printed').default('table');
  format.argChoices = [...FORMATS];
  format.argParser((text: string, before: string) => {
    if (FORMATS.includes(text as Format)) return text;
    if (!takesFile) throw new InvalidArgumentError(`It must be ${orOf(FORMATS)}.`);
    command.setOptionValue('file', text);
    return before;
  });
  command.optionsGroup('Output:').addOption(format);
  command.option('-c, --column <name>', 'Only this field (repeat for more)', collect);
  run(command, act);
}

export function printOne({ terminal }: Context, row: Record<string, unknown>, given: Given): void {
  terminal.out.write(renderOne(row, given.column, given.format));
}

/** What machines read has all fields, what people read has the columns. */
export function printList({ terminal }: Context, rows: Resource[], columns: readonly string[], given: Given) {
  const isData = given.format === 'json' || given.format === 'yaml';
  const chosen = given.column ?? (isData && rows[0] ? Object.keys(rows[0]) : columns);
  terminal.out.write(renderList(rows, chosen, given.format));
}

/** The file's path is relative to where the user is; `-` is the standard input. */
export function readInput({ terminal }: Context, file: string): Buffer {
  try {
    return readFileSync(file === '-' ? 0 : resolve(terminal.cwd, file));
  } catch (cause) {
    throw new CliError(`Cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}

export function readYaml(context: Context, file: string): unknown {
  const text = readInput(context, file).toString('utf8');
  try {
    return parse(text);
  } catch (cause) {
    throw new CliError(`Cannot read ${file}: ${(cause as Error).message.split('\n', 1)[0]}`, { cause });
  }
}

/** Waits, if so asked, for the load balancer that a change of this thing makes pending. */
export async function waitForChange(
  context: Context,
  client: Client,
  row: Resource,
  path: string,
  given: Given,
): Promise<void> {
  if (given.wait)
    await waitForActive(client, await loadBalancerIdOf(client, row, path), patience(context, given));
}

export const patience = ({ terminal }: Context, given: Given) => ({
  ...{ terminal, timeoutMs: given.waitTimeout * 1000 },
});

/** Up from the thing to its load balancer, by what its fields and its path say. Source: contract clients.md 1, `--wait`. */
async function loadBalancerIdOf(client: Client, row: Resource, path: string): Promise<string> {
  if (path.startsWith('lbaas/loadbalancers/')) return row.id;
  const first = (key: string) => (row[key] as { id: string }[] | undefined)?.[0]?.id;
  const direct = first('loadbalancers') ?? row.loadbalancer_id;
  if (typeof direct === 'string') return direct;
  const pool = first('pools');
  const [above] = /^lbaas\/\w+\/[^/]+(?=\/(members|rules)\/)/.exec(path) ?? [
    pool ? `lbaas/pools/${pool}` : row.listener_id ? `lbaas/listeners/${row.listener_id}` : undefined,
  ];
  if (!above) throw new CliError(`Cannot wait: ${path} names no load balancer`);
  return loadBalancerIdOf(client, await client.get(above), above);
}
