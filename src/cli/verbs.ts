/** The verbs create, list, show, set, unset and delete, and a noun's own, made from what the noun says about itself. */
import type { Command } from 'commander';
import { CliError } from './cli-error.ts';
import { type Query, type Resource, unwrap } from './client.ts';
import {
  addOptions,
  addTagOptions,
  addWait,
  fieldsOf,
  type Given,
  optionsOf,
  patience,
  printList,
  printOne,
  readYaml,
  run,
  runAndPrint,
  waitForChange,
} from './command.ts';
import { KINDS } from './kinds.ts';
import {
  type Action,
  type Context,
  type Noun,
  type Option,
  option,
  TAG_FILTERS,
  type Verb,
  wordsOf,
} from './noun.ts';
import { collectionOf, findOne, resolveId, resolveNames } from './resolve.ts';
import { nodeOfStatuses, renderTree } from './tree.ts';
import { nameOf, Progress, waitUntilGone } from './wait.ts';

type Act = (noun: Noun, context: Context, args: string[], given: Given) => Promise<void>;

const LONG = option('--long', 'More columns', 'list', { value: true });

/** Adds the noun with its verbs to the program. */
export function addNoun(program: Command, noun: Noun, context: Context): void {
  const { one, many, parent, by } = KINDS[noun.kind];
  const [name, ...aliases] = noun.names;
  const command = program.commandsGroup(noun.group).command(name).aliases(aliases).description(noun.sentence);
  const a = /^(a|l7)/.test(one) ? `an ${one}` : `a ${one}`;
  const above = parent ? `<${parent}>` : '';
  const self = `${above} <${by ?? noun.kind}>`;
  const owner = noun.parentField ? `<${noun.parentField.kind}>` : above;
  const verbs: [verb: Verb, args: string, sentence: string, act: Act][] = [
    ['create', noun.namedByArgument ? '<name>' : owner, `Make ${a}`, createOne],
    ['list', above, `List ${many}`, listAll],
    ['show', self, `Show ${a}`, showOne],
    ['set', self, `Change ${a}`, setOne],
    ['unset', self, `Take values away from ${a}`, unsetOne],
    ['delete', self, `Delete ${a}`, deleteOne],
  ];
  for (const [verb, args, sentence, act] of verbs) {
    if (noun.verbs ? !wordsOf(noun.verbs).includes(verb) : verb === 'unset' && !noun.unset) continue;
    const sub = command.command(`${verb} ${args}`.trim()).description(sentence);
    if (verb === 'create' && noun.kind === 'loadbalancer')
      sub.option('--file <file>', 'With all that is under it, from a YAML file (-f FILE too)');
    if (verb === 'unset') sub.optionsGroup('Back to the default, or to none:');
    addOptions(sub, verb === 'unset' ? unsetOptions(noun) : optionsOf(noun, verb), verb);
    if (verb === 'list' && noun.longColumns) addOptions(sub, [LONG]);
    if (verb === 'list' && noun.tagged) addOptions(sub.optionsGroup('Tags:'), TAG_FILTERS);
    const changes = verb !== 'list' && verb !== 'show';
    if (changes && verb !== 'delete' && noun.tagged) addTagOptions(sub, verb);
    if (verb === 'delete' && noun.cascade) sub.option('--cascade', 'With everything under it');
    if (changes && (noun.tagged || noun.waits)) addWait(sub);
    const finish = ['create', 'list', 'show'].includes(verb) ? runAndPrint : run;
    finish(sub, (values, given) => act(noun, context, values, given));
  }
  for (const action of noun.actions ?? []) {
    const sub = command.command(`${action.name} <${noun.kind}>`).description(action.sentence);
    if (action.method) addWait(sub);
    const finish = action.method ? run : runAndPrint;
    finish(sub, (args, given) => actOnOne(noun, context, args, given, action));
  }
  noun.extend?.(command, context);
}

async function createOne(noun: Noun, context: Context, args: string[], given: Given): Promise<void> {
  const client = context.connect();
  const { root } = KINDS[noun.kind];
  const fields = fieldsOf(optionsOf(noun, 'create'), given);
  if (noun.namedByArgument) fields.name = args[0];
  if (given.tag || given.noTag) fields.tags = given.tag ?? [];
  noun.complete?.(fields);
  const { parentField } = noun;
  if (parentField) fields[parentField.field] = await resolveId(client, parentField.kind, args[0]!);
  const fromFile =
    given.file === undefined ? {} : unwrapFile(readYaml(context, given.file), given.file, root!);
  const [path, body] = await Promise.all([
    collectionOf(client, noun.kind, args[0]),
    resolveNames(client, { ...fromFile, ...fields }),
  ]);
  let row = unwrap(await client.request('POST', path, root ? { [root]: body } : body));
  await waitForChange(context, client, row, `${path}/${row.id}`, given);
  if (given.wait) row = await client.get(`${path}/${row.id}`);
  printOne(context, row, given);
}

/** A file may have the root key of the API, or begin with the fields. */
function unwrapFile(read: unknown, file: string, root: string): Record<string, unknown> {
  const body = (read as Record<string, unknown> | null)?.[root] ?? read;
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new CliError(`Cannot use ${file}: it must hold the fields of a ${root}, such as \`name: web\``);
  return body as Record<string, unknown>;
}

async function listAll(noun: Noun, context: Context, args: string[], given: Given): Promise<void> {
  const client = context.connect();
  const filters = fieldsOf([...optionsOf(noun, 'list'), ...(noun.tagged ? TAG_FILTERS : [])], given);
  const query = Object.entries(await resolveNames(client, filters)).map(([k, v]) => [k, textOf(v)]);
  const progress = new Progress(context.terminal.err);
  const rows = await client.list(
    await collectionOf(client, noun.kind, args[0]),
    Object.fromEntries(query) as Query,
    count => progress.show(`${count} ${KINDS[noun.kind].many}, and there are more`),
  );
  progress.end();
  printList(context, rows, wordsOf(`${noun.columns} ${given.long ? noun.longColumns : ''}`), given);
}

/** Booleans as OpenStack's clients send them. Source: contract api.md 3.1. */
const textOf = (value: unknown): string =>
  typeof value === 'boolean' ? (value ? 'True' : 'False') : String(value);

async function showOne(noun: Noun, context: Context, args: string[], given: Given): Promise<void> {
  const { row } = await find(noun, context, args);
  const shown: Record<string, unknown> = { ...row };
  const readable = given.format === 'table' ? Object.entries(noun.readable ?? {}) : [];
  for (const [field, read] of readable) if (shown[field]) shown[field] = read(shown[field]);
  printOne(context, shown, given);
}

async function setOne(noun: Noun, context: Context, args: string[], given: Given): Promise<void> {
  const { client, row, path } = await find(noun, context, args);
  const body = await resolveNames(client, fieldsOf(optionsOf(noun, 'set'), given));
  const kept = given.noTag ? [] : ((row.tags ?? []) as string[]);
  if (given.tag || given.noTag) body.tags = [...new Set([...kept, ...((given.tag ?? []) as string[])])];
  await client.update(path, { [KINDS[noun.kind].root!]: body });
  await waitForChange(context, client, row, path, given);
}

async function unsetOne(noun: Noun, context: Context, args: string[], given: Given): Promise<void> {
  const { client, row, path } = await find(noun, context, args);
  const fields = Object.keys(fieldsOf(unsetOptions(noun), given));
  const body: Record<string, unknown> = Object.fromEntries(fields.map(field => [field, null]));
  const gone = (given.tag ?? []) as string[];
  const tags = (row.tags ?? []) as string[];
  if (given.allTag || given.tag) body.tags = given.allTag ? [] : tags.filter(tag => !gone.includes(tag));
  await client.update(path, { [KINDS[noun.kind].root!]: body });
  await waitForChange(context, client, row, path, given);
}

/** Flags without a value, for the fields that other verbs set. */
function unsetOptions(noun: Noun): Option[] {
  return wordsOf(noun.unset).map(name => {
    const fieldName = name.replaceAll('-', '_');
    const setting = noun.options.find(o => o.flags.startsWith(`--${name} `) || o.field === fieldName)!;
    return { ...setting, flags: `--${name}`, value: true };
  });
}

async function deleteOne(noun: Noun, context: Context, args: string[], given: Given): Promise<void> {
  const { client, row, path } = await find(noun, context, args);
  await client.request('DELETE', path, undefined, given.cascade ? { cascade: 'True' } : {});
  const label = `${KINDS[noun.kind].one} ${nameOf(row)}`;
  if (given.wait) await waitUntilGone(client, path, label, patience(context, given));
}

async function actOnOne(
  noun: Noun,
  context: Context,
  args: string[],
  given: Given,
  action: Action,
): Promise<void> {
  const { client, row, path } = await find(noun, context, args);
  const answer = await client.request(action.method ?? 'GET', path + action.path);
  if (action.method) return waitForChange(context, client, row, path, given);
  const shown = unwrap(answer);
  if (Array.isArray(shown)) printList(context, shown as Resource[], Object.keys(shown[0] ?? {}), given);
  else if (action.name === 'status' && given.format === 'table')
    context.terminal.out.write(
      renderTree(nodeOfStatuses(shown.loadbalancer as Resource), context.terminal.out),
    );
  else printOne(context, shown, given);
}

/** The thing that the arguments name, and its path. */
async function find(noun: Noun, context: Context, args: string[]) {
  const client = context.connect();
  return {
    client,
    ...(await findOne(client, noun.kind, args.at(-1)!, args.length > 1 ? args[0] : undefined)),
  };
}
