/** Errors as Keystone prints them: one JSON object with code, title and a sentence. */
import { STATUS_CODES } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { findStorageFault } from '../db/failures.ts';
import { Fault, STATUS_OF } from '../lib/errors.ts';
import { baseUrl } from './catalog.ts';

export function sendError(reply: FastifyReply, code: number, message: string) {
  return reply.code(code).send({ error: { code, title: STATUS_CODES[code] ?? 'Error', message } });
}

/** Gives a plugin this form, or the one of `send`, for everything that goes wrong in it: faults, bad JSON, unknown paths, bugs. */
export function openstackErrors(
  app: FastifyInstance,
  baseUri: string | null = null,
  send: (reply: FastifyReply, code: number, message: string) => FastifyReply = sendError,
): void {
  app.setNotFoundHandler((_request, reply) => send(reply, 404, 'The resource could not be found.'));
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const fault = error instanceof Fault ? error : findStorageFault(error);
    const code = fault ? STATUS_OF[fault.kind] : (error.statusCode ?? 500);
    if (code === 401)
      reply.header('www-authenticate', `Keystone uri="${baseUri ?? baseUrl(request)}/identity"`);
    if (fault || code < 500) return send(reply, code, (fault ?? error).message);
    request.log.error({ err: error, url: request.url }, 'a request failed');
    return send(reply, 500, 'An unexpected error prevented the server from fulfilling your request.');
  });
}
