/** Errors as Keystone prints them: one JSON object with code, title and a sentence. */
import { STATUS_CODES } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { findStorageFault } from '../db/failures.ts';

export function sendError(reply: FastifyReply, code: number, message: string) {
  return reply.code(code).send({ error: { code, title: STATUS_CODES[code] ?? 'Error', message } });
}

/** Gives a plugin this form for everything that goes wrong in it: bad JSON, unknown paths, bugs. */
export function openstackErrors(app: FastifyInstance): void {
  app.setNotFoundHandler((_request, reply) => sendError(reply, 404, 'The resource could not be found.'));
  app.setErrorHandler((error: { statusCode?: number; message: string }, request, reply) => {
    const code = error.statusCode ?? 500;
    if (code < 500) return sendError(reply, code, error.message);
    const storage = findStorageFault(error);
    if (storage) return sendError(reply, 503, storage.message);
    request.log.error({ err: error, url: request.url }, 'a request failed');
    return sendError(reply, 500, 'An unexpected error prevented the server from fulfilling your request.');
  });
}
