/**
 * Whether haproxy will take a regular expression: one that it rejects would keep its whole load balancer from changing.
 * Accepted is what PCRE without numbered captures (haproxy's `-m reg`) and Python (Octavia's API) have in common, and a
 * little less.
 */

const NAME = '[A-Za-z_][A-Za-z0-9_]{0,31}';
/** Repeating a group copies it, and PCRE has room for 64 KiB of code. */
const MAX_SIZE = 10_000;

const hex = (character: string): string => `\\u{${character.codePointAt(0)!.toString(16)}}`;

/** What stands for each piece in the stricter dialect that we can check; what none of them matches is refused. */
const PIECES: readonly (readonly [pattern: RegExp, rewrite: string | ((...groups: string[]) => string)])[] = [
  // A class; not `[:alpha:]`, which is one only inside another. A bracket that comes first does not close it.
  [
    /\[(?!([:.=])[^\]]*\1\])(\^|(?!\^))((?:\]|(?!\]))(?:\\.|\[(?![:.=])|[^\]\\[])*)\]/y,
    (_, __, not, items) => `[${not}${items!.replace(ITEM, rewriteItem)}]`,
  ],
  [/\\(?:[dDwWsS]|k<\w+>)/y, piece => piece],
  [/\\(?:[afnrtv]|x[0-9a-fA-F]{2}|0[0-7]{0,2}|[^A-Za-z0-9])/y, 'x'],
  // Nothing that a quantifier could follow.
  [/\\[AbBZ]|[$^]|\(\?#[^)]*\)|\(\?[ims]+\)/y, '^'],
  [new RegExp(`\\(\\?P?<(${NAME})>`, 'y'), (_, name) => `(?<${name}>`],
  [new RegExp(`\\(\\?P=(${NAME})\\)`, 'y'), (_, name) => `\\k<${name}>`],
  // Only of a length that is known.
  [/\(\?<[=!](?:\\[dDwWsS.-]|[^\\()[\]{}*+?])*\)/y, '(?:x)'],
  [/\(\?(?:[ims]*:|>)/y, '(?:'],
  [/\(\?[=!]/y, piece => piece],
  [/\((?![?*])|[).|]/y, piece => piece],
  // Ours has no possessive ones, but lazy ones, and they stand in the same places.
  [
    /([*+?]|\{(?:\d{1,4}|[1-5]\d{4})(?:,(?:\d{1,4}|[1-5]\d{4})?)?\})([?+]?)/y,
    (_, quantifier, kind) => quantifier! + (kind && '?'),
  ],
  [/\{(?!\d+(?:,\d*)?\})|[^\\()*+?|[{]/y, piece => hex(piece)],
];
/** In a class: an escape that we know, or a character. */
const ITEM = /\\([dDwWsSfnrtv]|x[0-9a-fA-F]{2}|[^A-Za-z0-9])|\\|-|[^\\-]/gu;

function rewriteItem(item: string, escaped: string | undefined): string {
  if (escaped !== undefined) return /^[A-Za-z]/.test(escaped) ? item : hex(escaped);
  if (item === '-') return item;
  // An escape that we do not know: nor does anybody know this one.
  return item === '\\' ? '\\q' : hex(item);
}

/** What is wrong with the expression, or undefined. */
export function findRegexProblem(value: string): string | undefined {
  let rewritten = '';
  let size = value.length;
  const names = new Set<string>();
  for (let at = 0; at < value.length; ) {
    const found = PIECES.find(([pattern]) => {
      pattern.lastIndex = at;
      return pattern.test(value);
    });
    if (!found) return `${JSON.stringify(value.slice(at, at + 10))} cannot be used`;
    const [pattern, rewrite] = found;
    pattern.lastIndex = at;
    const match = pattern.exec(value)!;
    const piece = typeof rewrite === 'string' ? rewrite : rewrite(...match);
    if (piece.startsWith('(?<')) {
      if (names.has(piece)) return `the name in ${piece} is used twice`;
      names.add(piece);
    }
    if (piece.startsWith('{') && rewritten.endsWith(')'))
      size *= Math.max(...piece.match(/\d+/g)!.map(Number), 1);
    rewritten += piece;
    at = pattern.lastIndex || at + match[0].length;
  }
  if (size > MAX_SIZE) return 'it repeats too much';
  try {
    new RegExp(rewritten, 'u');
    return undefined;
  } catch (error) {
    return (error as Error).message.replace(/^.*: /, '');
  }
}
