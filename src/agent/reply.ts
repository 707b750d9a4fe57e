/** What a route answers, and the two shapes of its errors. Source: contract amphora-agent.md 2 and 3. */
import { createHash } from 'node:crypto';
import { STATUS_CODES } from 'node:http';

export interface Reply {
  status: number;
  /** Text is sent as `text/plain`, anything else as JSON. */
  body: unknown;
  etag?: string;
}

/** Ends a request with an answer that is no success. */
export class Refusal extends Error {
  readonly reply: Reply;
  constructor(status: number, body: Record<string, unknown>, options?: ErrorOptions) {
    super(Object.values(body).join(': '), options);
    this.name = 'Refusal';
    this.reply = { status, body };
  }
}

/** The shape of errors that no route words itself. */
export function httpError(status: number, description: string): Refusal {
  return new Refusal(status, {
    error: `${status} ${STATUS_CODES[status] ?? 'Error'}: ${description}`,
    http_code: status,
  });
}

export const ok = (status: number, details?: string): Reply => ({
  status,
  body: details === undefined ? { message: 'OK' } : { message: 'OK', details },
});

/** The tag of an upload, over the bytes as they came. */
export const md5 = (bytes: Uint8Array | string): string => createHash('md5').update(bytes).digest('hex');
