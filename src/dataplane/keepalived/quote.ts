/** The only way into keepalived.conf: what users and operators supplied becomes words that cannot end a word, a string or a line. */
import { isIP } from 'node:net';
import { TerminalError } from '../../lib/errors.ts';

declare const quoted: unique symbol;
/** Text that is safe to stand in keepalived.conf. */
export type Text = string & { readonly [quoted]: true };

const matching =
  (test: (value: string) => boolean, what: string) =>
  (value: string): Text => {
    if (test(value)) return value as Text;
    throw new TerminalError(`Cannot write ${JSON.stringify(value)} into keepalived.conf as ${what}`);
  };

export const identifier = matching(value => /^[\w-]+$/.test(value), 'an id');
export const filePath = matching(value => /^[\w./-]+$/.test(value), 'the path of a file');
export const hostName = matching(value => /^[\w.-]+$/.test(value), 'the name of a host');
export const address = matching(value => isIP(value) !== 0 && !value.includes('%'), 'an IP address');

export const prefix = matching(value => {
  const [ip = '', length = '', ...rest] = value.split('/');
  return rest.length === 0 && isIP(ip) !== 0 && !ip.includes('%') && /^\d{1,3}$/.test(length);
}, 'a network');

/** keepalived counts hundredths of a second. */
export function seconds(ms: number): Text {
  return matching(text => /^\d+(\.\d{1,2})?$/.test(text), 'a number of seconds')(String(ms / 1000));
}

export function number(value: number): Text {
  return matching(text => /^\d+$/.test(text), 'a number')(String(value));
}

/**
 * The target of an HTTP request. keepalived gives a meaning to quotes, braces, `#`, `!`, `$`, `@`, `~` and backslashes, and knows no way
 * of writing all of them, so that whatever is not surely harmless is percent-encoded: servers take it for the same.
 */
export function requestTarget(value: string): Text {
  const encoded = [...Buffer.from(value, 'utf8')].map(byte => {
    const character = String.fromCharCode(byte);
    return /[\w/?=&%.,:;+-]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  });
  return encoded.join('') as Text;
}

/** Text that this room writes out itself, with quoted values between; a list stands with spaces. */
export function text(texts: TemplateStringsArray, ...values: (Text | readonly Text[])[]): Text {
  return String.raw(
    { raw: texts },
    ...values.map(value => (typeof value === 'string' ? value : value.join(' '))),
  ) as Text;
}
