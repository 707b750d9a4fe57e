/** Parses configuration files as oslo.config writes them, so that an operator's existing file is read as it was meant. */

/** Section → key → its values in order; a key given twice has two. Keys before any section belong to `DEFAULT`. */
export type Ini = Map<string, Map<string, string[]>>;

/** Throws an error that names the line. Rules of oslo.config's parser: `=` or `:` (whichever comes first) separates, an indented line continues the value above, `#` and `;` begin comments only at the line's start, one pair of quotes around a value is removed. */
export function parseIni(text: string): Ini {
  const ini: Ini = new Map();
  let section: Map<string, string[]> | undefined;
  let key: string | undefined;
  let lines: string[] = [];

  const flush = () => {
    if (key === undefined) return;
    section ??= sectionOf(ini, 'DEFAULT');
    const values = section.get(key) ?? [];
    values.push(lines.join('\n'));
    section.set(key, values);
    key = undefined;
  };

  for (const [index, raw] of text.split(/\r\n|\n|\r/).entries()) {
    const line = raw.trimEnd();
    if (line === '') {
      flush();
      continue;
    }
    if (/^[ \t]/.test(line)) {
      if (key === undefined)
        throw new Error(`Cannot read line ${index + 1}: a continuation without a key: ${line}`);
      lines.push(line.trimStart());
      continue;
    }
    flush();
    if (line.startsWith('#') || line.startsWith(';')) continue;
    if (line.startsWith('[')) {
      const name = line.endsWith(']') ? line.slice(1, -1) : '';
      if (name === '') throw new Error(`Cannot read line ${index + 1}: not a section name: ${line}`);
      section = sectionOf(ini, name);
      continue;
    }
    const separator = line.search(/[=:]/);
    if (separator < 1) {
      throw new Error(`Cannot read line ${index + 1}: neither a section, nor key = value: ${line}`);
    }
    key = line.slice(0, separator).trim();
    lines = [unquote(line.slice(separator + 1).trim())];
  }
  flush();
  return ini;
}

/** The last value of a key, which is the one that counts for an option with one value. */
export function lastValue(ini: Ini, section: string, key: string): string | undefined {
  return ini.get(section)?.get(key)?.at(-1);
}

function sectionOf(ini: Ini, name: string): Map<string, string[]> {
  let section = ini.get(name);
  if (section === undefined) {
    section = new Map();
    ini.set(name, section);
  }
  return section;
}

function unquote(value: string): string {
  const first = value[0];
  const quoted = value.length > 1 && (first === '"' || first === "'") && value.endsWith(first);
  return quoted ? value.slice(1, -1) : value;
}
