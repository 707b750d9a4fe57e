/** Shell completion: what may stand where the cursor is, and the scripts that ask for it. */
import type { Argument, Command, Option } from 'commander';
import type { Client } from './client.ts';
import { KINDS, type KindName } from './kinds.ts';
import { collectionOf } from './resolve.ts';

/** Stands for all files, which the shell itself knows best. */
const FILES = ':files';
/** For each request: a cloud's login alone may take a second. */
const TIMEOUT_MS = 5_000;

/** Lines of a word and, after a tab, a sentence. `words` are those after the program's name, the last being the one that is written just now. */
export async function listCandidates(
  program: Command,
  words: readonly string[],
  connect: (timeoutMs: number, cloud: string | undefined) => Client,
): Promise<string[]> {
  let command = program;
  let pending: Option | undefined;
  let cloud: string | undefined;
  const args: string[] = [];
  // A shell may have split `--format=json` into three words.
  const before = words.slice(0, -1).filter(word => word !== '=');
  for (const word of before) {
    if (pending) {
      if (pending.long === '--os-cloud') cloud = word;
      pending = undefined;
      continue;
    }
    const option = word.startsWith('-') ? findOption(command, word.split('=', 1)[0]!) : undefined;
    const below = command.commands.find(sub => sub.name() === word || sub.aliases().includes(word));
    if (option) pending = takesValue(option) && !word.includes('=') ? option : undefined;
    else if (below) command = below;
    else if (!word.startsWith('-')) args.push(word);
  }
  const last = words.at(-1) === '=' ? '' : (words.at(-1) ?? '');
  const [, flag = '', start = last] = /^(--[\w-]+=)(.*)$/s.exec(last) ?? [];
  if (flag) pending = findOption(command, flag.slice(0, -1));
  const found = await candidatesAt();
  return found[0] === FILES ? found : found.filter(line => line.startsWith(start)).map(line => flag + line);

  async function candidatesAt(): Promise<string[]> {
    if (pending) return valuesOf(pending, /<([\w-]+)/.exec(pending.flags)?.[1]);
    if (start.startsWith('-'))
      return chainOf(command)
        .flatMap(each => each.options.filter(option => !option.hidden))
        .map(option => `${option.long}\t${option.description}`);
    if (command.commands.length > 0)
      return command
        .createHelp()
        .visibleCommands(command)
        .map(sub => `${sub.name()}\t${sub.description()}`);
    const argument = command.registeredArguments[args.length];
    return argument ? valuesOf(argument, argument.name()) : [];
  }

  async function valuesOf(of: Option | Argument, placeholder = ''): Promise<string[]> {
    if (of.argChoices) return [...of.argChoices];
    if (placeholder === 'file') return [FILES];
    if (!(placeholder in KINDS)) return [];
    try {
      return await listNames(connect(TIMEOUT_MS, cloud), placeholder as KindName, args[0], start);
    } catch {
      // Whoever presses Tab without a cloud wants no sentence about it in the middle of his line.
      return [];
    }
  }
}

/** Names, and ids as soon as something is written that could be one's beginning. */
async function listNames(
  client: Client,
  kindName: KindName,
  parent: string | undefined,
  start: string,
): Promise<string[]> {
  const kind = KINDS[kindName];
  const path = await collectionOf(client, kindName, parent);
  const query =
    path.startsWith('lbaas/') && kind.named && kind.key === 'id' ? { fields: ['id', 'name'] } : {};
  const rows = await client.listPage(path, query);
  return rows.flatMap(({ id, name }) => [
    ...(name ? [`${name}\t${kind.one}`] : []),
    ...(id && (start !== '' || !name) ? [`${id}\t${name ?? kind.one}`] : []),
  ]);
}

const takesValue = (option: Option): boolean => option.required || option.optional;

/** The command and those above it, whose options it understands as well. */
function chainOf(command: Command): Command[] {
  return [command, ...(command.parent ? chainOf(command.parent) : [])];
}

function findOption(command: Command, flag: string): Option | undefined {
  return chainOf(command)
    .flatMap(each => [...each.options])
    .find(option => option.long === flag || option.short === flag);
}

/** Each asks `ottavia complete` for lines of a word and, after a tab, a sentence. */
export const SCRIPTS: Record<string, string> = {
  bash: `# For ~/.bashrc:  source <(ottavia completion bash)
_ottavia() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    line=\${line%%$'\\t'*}
    if [[ $line == ${FILES} ]]; then
      compopt -o default -o filenames
    else
      COMPREPLY+=("$(printf %q "$line")")
    fi
  done < <("\${COMP_WORDS[0]}" complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _ottavia ottavia
`,
  zsh: `#compdef ottavia
# For ~/.zshrc, after compinit:  source <(ottavia completion zsh)
_ottavia() {
  local line
  local -a found
  for line in "\${(@f)$("\${words[1]}" complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == ${FILES} ]]; then
      _files
    elif [[ -n $line ]]; then
      found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
    fi
  done
  (( \${#found} )) && _describe ottavia found
}
compdef _ottavia ottavia
`,
  fish: `# For ~/.config/fish/completions/ottavia.fish
function __ottavia
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] complete -- $words[2..-1] 2>/dev/null)
        if test "$line" = ${FILES}
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c ottavia -f -a '(__ottavia)'
`,
};
