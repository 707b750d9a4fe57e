/** The verbs create, list, show, set and delete, made from what a noun says about itself. */
import { type Command, Option as CommanderOption, InvalidArgumentError } from 'commander';
import { CliError } from './cli-error.ts';
import type { Client, Query, Resource } from './client.ts';
import type { Noun, Option, Verb } from './noun.ts';
import { type Format, renderList, renderOne, type Terminal } from './output.ts';
import { findOne, resolveId } from './resolve.ts';
import { nameOf, waitForActive, waitUntilGone } from './wait.ts';

/** What every verb works with. */
export interface Context {
  terminal: Terminal;
  connect(): Client;
}

/** What commander hands over: values by the option's own name. */
type Given = Record<string, unknown> & {
  output: Format;
  column?: string[];
  wait?: boolean;
  waitTimeout: number;
  cascade?: boolean;
  tag?: string[];
};

/** Adds the noun with its verbs to the program. */
export function addNoun(program: Command, noun: Noun, context: Context): void {
  const [name, ...aliases] = noun.names;
  const command = program.command(name).aliases(aliases).description(noun.sentence);
  const one = noun.singular;
  const parentArgument = noun.parent ? `<${noun.parent.target}>` : '';
  const nestedArgument = noun.nested ? `${parentArgument} ` : '';

  const create = command.command(`create ${parentArgument}`.trim()).description(`Make a ${one}`);
  addOptions(create, noun, 'create');
  addTagOptions(create);
  addWait(create);
  run(create, 1 - Number(!noun.parent), (args, given) => createOne(noun, context, args, given));

  const list = command.command(`list ${nestedArgument}`.trim()).description(`List ${noun.plural}`);
  addOptions(list, noun, 'list');
  list.option('--tags <tags>', 'Those with all of these tags: a,b');
  run(list, Number(noun.nested === true), (args, given) => listAll(noun, context, args, given));

  const show = command.command(`show ${nestedArgument}<${one}>`).description(`Show a ${one}`);
  run(show, 1 + Number(noun.nested === true), async (args, given) => {
    const { row } = await find(noun, context.connect(), args);
    print(context, row, given);
  });

  const set = command.command(`set ${nestedArgument}<${one}>`).description(`Change a ${one}`);
  addOptions(set, noun, 'set');
  addTagOptions(set);
  addWait(set);
  run(set, 1 + Number(noun.nested === true), (args, given) => setOne(noun, context, args, given));

  const remove = command.command(`delete ${nestedArgument}<${one}>`).description(`Delete a ${one}`);
  if (noun.cascade) remove.option('--cascade', 'With everything under it');
  addWait(remove);
  run(remove, 1 + Number(noun.nested === true), (args, given) => deleteOne(noun, context, args, given));
}

async function createOne(noun: Noun, context: Context, args: string[], given: Given): Promise<void> {
  const client = context.connect();
  const body = await bodyOf(noun, 'create', client, given);
  if (given.tag) body.tags = given.tag;
  let path = `lbaas/${noun.plural}`;
  if (noun.parent) {
    const parentId = await resolveId(client, noun.parent.target, args[0]!);
    if (noun.nested) path = nestedPath(noun, parentId);
    else body[noun.parent.field] = parentId;
  }
  const answer = await client.request('POST', path, { [noun.singular]: body });
  let row = rootOf(noun, answer);
  if (given.wait) {
    await waitForActive(client, await loadBalancerIdOf(noun, client, row, args), waitOptions(context, given));
    row = rootOf(noun, await client.request('GET', `${path}/${row.id}`));
  }
  print(context, row, given);
}

async function listAll(noun: Noun, context: Context, args: string[], given: Given): Promise<void> {
  const client = context.connect();
  const filters = await bodyOf(noun, 'list', client, given);
  const query: Query = Object.fromEntries(Object.entries(filters).map(([k, v]) => [k, String(v)]));
  if (typeof given.tags === 'string') query.tags = given.tags;
  const parentId = noun.nested ? await resolveId(client, noun.parent!.target, args[0]!) : undefined;
  const path = parentId === undefined ? `lbaas/${noun.plural}` : nestedPath(noun, parentId);
  const rows = await client.list(path, noun.plural, query);
  const columns = given.column ?? (given.output === 'json' && rows[0] ? Object.keys(rows[0]) : noun.columns);
  context.terminal.out.write(renderList(rows, columns, given.output));
}

async function setOne(noun: Noun, context: Context, args: string[], given: Given): Promise<void> {
  const client = context.connect();
  const { row, path } = await find(noun, client, args);
  const body = await bodyOf(noun, 'set', client, given);
  // commander says `tag: false` for --no-tag.
  const kept = (given.tag as unknown) === false ? [] : ((row.tags as string[] | undefined) ?? []);
  if (given.tag !== undefined) body.tags = [...new Set([...kept, ...(given.tag || [])])];
  await client.request('PUT', path, { [noun.singular]: body });
  if (given.wait) {
    await waitForActive(client, await loadBalancerIdOf(noun, client, row, args), waitOptions(context, given));
  }
}

async function deleteOne(noun: Noun, context: Context, args: string[], given: Given): Promise<void> {
  const client = context.connect();
  const { row, path } = await find(noun, client, args);
  await client.request('DELETE', path, undefined, given.cascade ? { cascade: 'True' } : {});
  if (given.wait)
    await waitUntilGone(client, path, `${noun.singular} ${nameOf(row)}`, waitOptions(context, given));
}

/** The object that the arguments name, and its path. */
async function find(noun: Noun, client: Client, args: string[]): Promise<{ row: Resource; path: string }> {
  const parentId = noun.nested ? await resolveId(client, noun.parent!.target, args[0]!) : undefined;
  const path = parentId === undefined ? `lbaas/${noun.plural}` : nestedPath(noun, parentId);
  const row = await findOne(noun.singular, args.at(-1)!, query => client.list(path, noun.plural, query));
  return { row, path: `${path}/${row.id}` };
}

/** The load balancer that a change of this object makes pending. Source: contract clients.md 1, `--wait`. */
async function loadBalancerIdOf(noun: Noun, client: Client, row: Resource, args: string[]): Promise<string> {
  const first = (key: string, from: Resource) => (from[key] as { id: string }[] | undefined)?.[0]?.id;
  if (noun.singular === 'loadbalancer') return row.id;
  const direct = first('loadbalancers', row);
  if (direct !== undefined) return direct;
  const poolId = first('pools', row) ?? (await resolveId(client, 'pool', args[0]!));
  const { pool } = (await client.request('GET', `lbaas/pools/${poolId}`)) as { pool: Resource };
  const found = first('loadbalancers', pool);
  if (found === undefined) throw new CliError(`Cannot wait: pool ${poolId} names no load balancer`);
  return found;
}

async function bodyOf(
  noun: Noun,
  verb: Verb,
  client: Client,
  given: Given,
): Promise<Record<string, unknown>> {
  const body: Record<string, unknown> = {};
  for (const option of optionsOf(noun, verb)) {
    const value = given[keyOf(option)];
    if (value === undefined) continue;
    if (option.value !== undefined) body[option.field] = option.value;
    else body[option.field] = await resolved(client, option, value);
  }
  for (const vip of (body.additional_vips ?? []) as Record<string, string>[]) {
    vip.subnet_id = await resolveId(client, 'subnet', vip.subnet_id ?? '');
  }
  return body;
}

async function resolved(client: Client, { target }: Option, value: unknown): Promise<unknown> {
  if (!target || value === null) return value;
  if (Array.isArray(value)) return Promise.all(value.map(each => resolveId(client, target, each)));
  return resolveId(client, target, String(value));
}

const optionsOf = (noun: Noun, verb: Verb): Option[] =>
  noun.options.filter(option => (option.verbs ?? ['create', 'set']).includes(verb));

/** The name under which commander hands the option over. */
const keyOf = (option: Option): string => new CommanderOption(option.flags).attributeName();

const nestedPath = (noun: Noun, parentId: string): string =>
  `lbaas/${noun.parent!.target}s/${parentId}/${noun.plural}`;

const rootOf = (noun: Noun, answer: unknown): Resource =>
  (answer as Record<string, Resource>)[noun.singular]!;

const waitOptions = ({ terminal }: Context, given: Given) => ({
  terminal,
  timeoutMs: given.waitTimeout * 1000,
});

function print({ terminal }: Context, row: Resource, given: Given): void {
  terminal.out.write(renderOne(row, given.column, given.output));
}

function addOptions(command: Command, noun: Noun, verb: Verb): void {
  for (const option of optionsOf(noun, verb)) {
    const commanderOption = new CommanderOption(option.flags, option.sentence);
    if (verb === 'create' && option.required) commanderOption.makeOptionMandatory();
    if (option.value === undefined) {
      commanderOption.argParser<unknown>((text, before) => {
        const value = readValue(option, text);
        return option.repeated ? [...((before as unknown[] | undefined) ?? []), value] : value;
      });
    }
    command.addOption(commanderOption);
  }
}

function readValue(option: Option, text: string): unknown {
  if (!option.read) return text;
  try {
    return option.read(text);
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
}

function addTagOptions(command: Command): void {
  command.option('--tag <tag>', 'A tag (repeat for more)', (tag: string, before: unknown) => [
    ...(Array.isArray(before) ? before : []),
    tag,
  ]);
  command.option('--no-tag', 'No tags');
  // commander turns --no-tag into a default of true, which would read as a tag that was given.
  command.setOptionValue('tag', undefined);
}

function addWait(command: Command): void {
  command.option('--wait', 'Until it is made real');
  command.addOption(
    new CommanderOption('--wait-timeout <seconds>', 'How long to wait')
      .argParser((text: string) => {
        if (!/^\d+$/.test(text)) throw new InvalidArgumentError('it must be a number of seconds.');
        return Number(text);
      })
      .default(300),
  );
}

/** Options of output go with every verb; commander passes the arguments, then the options, then the command. */
function run(
  command: Command,
  argumentCount: number,
  act: (args: string[], given: Given) => Promise<void>,
): void {
  addOutput(command);
  command.action(async (...all: unknown[]) => {
    await act(all.slice(0, argumentCount) as string[], command.opts<Given>());
  });
}

export function addOutput(command: Command): void {
  command.addOption(
    new CommanderOption('-o, --output <format>', 'table, json or value')
      .choices(['table', 'json', 'value'])
      .default('table'),
  );
  command.option(
    '-c, --column <name>',
    'Only this field (repeat for more)',
    (name: string, before?: string[]) => [...(before ?? []), name],
  );
}
