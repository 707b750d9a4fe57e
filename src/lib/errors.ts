/** The two kinds of failure that are told apart; everything else is retried. */

export type FaultKind =
  | 'invalid'
  | 'unauthorized'
  | 'forbidden'
  | 'not-found'
  | 'not-allowed'
  | 'not-acceptable'
  | 'conflict'
  | 'too-large'
  | 'unsupported-media'
  | 'unsupported'
  | 'unavailable';

/** Tell the user: the sentence names the field or the ids. Only `api/faults.ts` knows which HTTP status a kind has. */
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

/** The sentence of an error followed by those of its causes, for a log line or a reason that a user reads. */
export function errorChain(error: unknown): string {
  const sentences: string[] = [];
  for (let e = error; e !== undefined && e !== null && sentences.length < 8; ) {
    sentences.push(e instanceof Error ? e.message || e.name : String(e));
    e = e instanceof Error ? e.cause : undefined;
  }
  return sentences.join(': ');
}
