/** The only way into haproxy.cfg: what users supplied becomes words that cannot end a word, a line or a string. */
import { isIP } from 'node:net';
import { TerminalError } from '../../lib/errors.ts';

declare const quoted: unique symbol;
/** Text that is safe to stand in haproxy.cfg: one word, or several that this room wrote out itself. */
export type Word = string & { readonly [quoted]: 'word' };
/** One directive. */
export type Line = string & { readonly [quoted]: 'line' };

/**
 * One word with this value, whatever it contains. ASCII only, because several releases of the original cannot read
 * other text (contract dataplane.md 15). U+0000 cannot be written in haproxy.cfg: `TerminalError`.
 */
export function word(value: string): Word {
  if (value === '') return '""' as Word;
  // Printable ASCII but for space, quotes, the hash and the backslash.
  if (/^[!$-&(-[\]-~]+$/.test(value)) return value as Word;
  let text = '';
  for (const byte of Buffer.from(value, 'utf8')) {
    const character = String.fromCharCode(byte);
    if (byte === 0) throw new TerminalError(`Cannot write U+0000 into haproxy.cfg: ${JSON.stringify(value)}`);
    if (byte < 0x20 || byte >= 0x7f) text += `\\x${byte.toString(16).padStart(2, '0')}`;
    else if (' "\'\\#'.includes(character)) text += `\\${character}`;
    else text += character;
  }
  return text as Word;
}

export function number(value: number): Word {
  if (!Number.isFinite(value)) throw new TerminalError(`Cannot write ${value} into haproxy.cfg as a number`);
  return String(value) as Word;
}

/** An IP address without brackets, prefix or zone; anything else would be read as something else by haproxy. */
export function address(value: string): Word {
  if (isIP(value) === 0 || value.includes('%')) {
    throw new TerminalError(`Cannot write ${JSON.stringify(value)} into haproxy.cfg as an IP address`);
  }
  return value as Word;
}

/** An IP address where haproxy looks for a port behind the last colon even when none is meant: IPv6 in brackets. */
export function bracketedAddress(value: string): Word {
  const checked = address(value);
  return value.includes(':') ? words`[${checked}]` : checked;
}

/** The target of an HTTP request; what a request line cannot hold is percent-encoded, so that no check sends two requests. */
export function requestTarget(value: string): Word {
  const bytes = [...Buffer.from(value, 'utf8')];
  const encoded = bytes.map(byte =>
    byte <= 0x20 || byte >= 0x7f
      ? `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
      : String.fromCharCode(byte),
  );
  return word(encoded.join(''));
}

/** Text in a place that haproxy reads as a log format: a percent sign is doubled. */
export function logFormatText(value: string): Word {
  return headerText(value.replaceAll('%', '%%'));
}

/** Text that becomes a part of a header or a line of a log, which control characters would end. */
export function headerText(value: string): Word {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\x00-\x1f\x7f]/.test(value)) {
    throw new TerminalError(
      `Cannot write control characters into a header in haproxy.cfg: ${JSON.stringify(value)}`,
    );
  }
  return word(value);
}

/** An argument of a sample fetch, such as the name in `req.cook(name)`: quoted a second time where its own syntax ends. */
export function fetchArgument(value: string): Word {
  if (/^[\w!#$%&*+.^`|~-]+$/.test(value)) return word(value);
  return word(`'${value.replaceAll("'", `'"'"'`)}'`);
}

/** What an ACL compares with: one that begins like an option, such as `-f`, stands behind the end of options. */
export function aclPattern(value: string): Word {
  return value.startsWith('-') ? words`-- ${word(value)}` : word(value);
}

/** A format that the operator wrote, in which only spaces are escaped. Source: contract dataplane.md 4. */
export function operatorFormat(value: string): Word {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\x00-\x1f\x7f]/.test(value)) {
    throw new TerminalError('Cannot write control characters into haproxy.cfg: check user_log_format');
  }
  return value.replaceAll(' ', '\\ ') as Word;
}

/** Words that this room writes out itself, with quoted ones between them. */
export function words(texts: TemplateStringsArray, ...values: Word[]): Word {
  return interleave(texts, values) as Word;
}

/** A directive that this room writes out itself, with quoted words between. */
export function line(texts: TemplateStringsArray, ...values: Word[]): Line {
  return interleave(texts, values) as Line;
}

/** The words in their order, a space between two. */
export function spaced(parts: readonly Word[]): Word {
  return parts.join(' ') as Word;
}

/** The words with a character of haproxy's lists between them. */
export function separated(parts: readonly Word[], separator: '|' | ','): Word {
  return parts.join(separator) as Word;
}

function interleave(texts: TemplateStringsArray, values: readonly Word[]): string {
  return texts.map((text, i) => text + (values[i] ?? '')).join('');
}
