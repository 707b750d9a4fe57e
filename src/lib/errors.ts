/** The two kinds of failure that are told apart; everything else is retried. */

/** The kinds of faults, each with the HTTP status that every API of ours answers it with. */
export const STATUS_OF = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  'not-allowed': 405,
  'not-acceptable': 406,
  conflict: 409,
  'too-large': 413,
  'unsupported-media': 415,
  unsupported: 501,
  unavailable: 503,
} as const;

export type FaultKind = keyof typeof STATUS_OF;

/** Tell the user: the sentence names the field or the ids. */
export class Fault extends Error {
  readonly kind: FaultKind;
  constructor(kind: FaultKind, sentence: string, options?: ErrorOptions) {
    super(sentence, options);
    this.name = 'Fault';
    this.kind = kind;
  }
}

/** Trying again cannot help until somebody changes something: the worker settles as `ERROR` at once. */
export class TerminalError extends Error {
  constructor(sentence: string, options?: ErrorOptions) {
    super(sentence, options);
    this.name = 'TerminalError';
  }
}

/** In characters. Clouds answer with whole pages; whoever reads a reason wants its beginning, and a row must hold it. */
const LONGEST_CHAIN = 4000;

/** The sentence of an error followed by those of its causes, for a log line or a reason that a user reads. */
export function errorChain(error: unknown): string {
  const sentences: string[] = [];
  for (let e = error; e !== undefined && e !== null && sentences.length < 8; ) {
    sentences.push(e instanceof Error ? e.message || e.name : String(e));
    e = e instanceof Error ? e.cause : undefined;
  }
  // No row of PostgreSQL holds the byte 0.
  const chain = sentences.join(': ').replaceAll('\0', '\u{fffd}');
  const more = chain.length - LONGEST_CHAIN;
  return more > 0 ? `${chain.slice(0, LONGEST_CHAIN)} … (${more} characters more)` : chain;
}
