/** What a command of the CLI ends with when it cannot do what was asked: one sentence, no stack. */

export class CliError extends Error {
  /** The id under which the server logged the request, when it was the server that refused. */
  readonly requestId: string | undefined;
  /** The HTTP status, likewise. */
  readonly httpStatus: number | undefined;
  constructor(sentence: string, options: ErrorOptions & { requestId?: string; httpStatus?: number } = {}) {
    super(sentence, options);
    this.name = 'CliError';
    this.requestId = options.requestId;
    this.httpStatus = options.httpStatus;
  }
}
