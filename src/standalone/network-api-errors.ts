/** Errors as Neutron prints them: `{"NeutronError": {"type", "message", "detail"}}`. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { findStorageFault } from '../db/failures.ts';
import { Fault, type FaultKind } from '../lib/errors.ts';

/** A fault with the name that Neutron has for it, which clients and scripts look at. */
export class NetworkFault extends Fault {
  readonly type: string;
  constructor(kind: FaultKind, type: string, sentence: string, options?: ErrorOptions) {
    super(kind, sentence, options);
    this.type = type;
  }
}

export const invalid = (sentence: string, type = 'HTTPBadRequest'): NetworkFault =>
  new NetworkFault('invalid', type, sentence);
export const conflict = (type: string, sentence: string): NetworkFault =>
  new NetworkFault('conflict', type, sentence);
export const forbidden = (what: string): NetworkFault =>
  new NetworkFault('forbidden', 'PolicyNotAuthorized', `${what} is disallowed by policy`);
/** `title` is such as `Security group`, and `SecurityGroupNotFound` is what follows from it. */
export function absent(title: string, id: string): NetworkFault {
  const type = title.replace(/ ?\b\w/g, word => word.trim().toUpperCase());
  return new NetworkFault('not-found', `${type}NotFound`, `${title} ${id} could not be found.`);
}

const STATUSES: Partial<Record<FaultKind, [status: number, type: string]>> = {
  invalid: [400, 'InvalidInput'],
  forbidden: [403, 'PolicyNotAuthorized'],
  'not-found': [404, 'NotFound'],
  conflict: [409, 'Conflict'],
  unavailable: [503, 'ServiceUnavailable'],
};

export function sendNeutronError(reply: FastifyReply, status: number, type: string, message: string) {
  return reply.code(status).send({ NeutronError: { type, message, detail: '' } });
}

/** Gives a plugin this form for everything that goes wrong in it: faults, bad JSON, unknown paths, bugs. */
export function neutronErrors(app: FastifyInstance): void {
  app.setNotFoundHandler((_request, reply) =>
    sendNeutronError(reply, 404, 'HTTPNotFound', 'The resource could not be found.'),
  );
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const known = error instanceof Fault ? STATUSES[error.kind] : undefined;
    if (known) {
      const type = error instanceof NetworkFault ? error.type : known[1];
      return sendNeutronError(reply, known[0], type, error.message);
    }
    const code = error.statusCode ?? 500;
    if (code < 500) return sendNeutronError(reply, code, 'HTTPBadRequest', error.message);
    const storage = findStorageFault(error);
    if (storage) return sendNeutronError(reply, 503, 'ServiceUnavailable', storage.message);
    request.log.error({ err: error, url: request.url }, 'a request failed');
    const sentence = 'Request Failed: internal server error while processing your request.';
    return sendNeutronError(reply, 500, 'HTTPInternalServerError', sentence);
  });
}
