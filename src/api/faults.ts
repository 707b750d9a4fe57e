/** What the body of a failed request looks like, and which fault it is that somebody else threw. */
import type { FastifyError } from 'fastify';
import { findStorageFault } from '../db/failures.ts';
import { Fault, type FaultKind, STATUS_OF } from '../lib/errors.ts';

/** What is thrown while a request is read, before any of our code sees it. */
const FRAMEWORK_FAULTS: Readonly<Record<string, [FaultKind, string]>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['unsupported-media', 'Unsupported media type: send application/json.'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['too-large', 'Request is too large.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['invalid', 'The body is not as long as its Content-Length says.'],
  FST_ERR_BAD_URL: ['invalid', 'The URL cannot be decoded.'],
  FST_ERR_MAX_LIMIT_REACHED: ['not-found', 'The resource could not be found.'],
};

/** A fault for whatever was thrown; undefined when it is a failure of ours. */
export function toFault(error: unknown): Fault | undefined {
  if (error instanceof Fault) return error;
  const { code, statusCode, message } = error as FastifyError;
  const known = FRAMEWORK_FAULTS[code];
  if (known) return new Fault(known[0], known[1], { cause: error });
  if (code?.startsWith('FST_ERR_') && statusCode !== undefined && statusCode < 500)
    return new Fault('invalid', message, { cause: error });
  return findStorageFault(error);
}

export interface Answer {
  status: number;
  body: unknown;
}

/** The body of a failed request, in the one shape that all clients read. Source: contract api.md 2.2. */
export function faultAnswer(error: unknown): Answer {
  const fault = toFault(error);
  const status = fault ? STATUS_OF[fault.kind] : 500;
  const sentence = fault
    ? fault.message
    : 'An unknown exception occurred. The log of the service tells more.';
  if (status === 401)
    return { status, body: { error: { code: 401, title: 'Unauthorized', message: sentence } } };
  return {
    status,
    body: { faultcode: status < 500 ? 'Client' : 'Server', faultstring: sentence, debuginfo: null },
  };
}
