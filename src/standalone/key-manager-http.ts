/** How the key manager speaks HTTP: its versions, errors and answers. Source: Barbican's API reference. */
import { STATUS_CODES } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '../lib/errors.ts';

/** The answer to a creation. */
export function created(reply: FastifyReply, key: string, reference: string) {
  void reply.code(201).header('location', reference);
  return { [key]: reference };
}

const MINORS = 2;

/** The microversion that a client asks for; 1.0 when it asks for none. Throws `not-acceptable`. */
export function minorOf(request: FastifyRequest): number {
  const sent = String(request.headers['openstack-api-version'] ?? '');
  const asked = /key-manager\s+(?:1\.(\d+)|(latest))/.exec(sent);
  if (asked?.[2]) return MINORS;
  const minor = Number(asked?.[1] ?? 0);
  if (minor > MINORS) throw new Fault('not-acceptable', `The newest version of this API is 1.${MINORS}.`);
  return minor;
}

export function versionView(base: string, minor: number) {
  const links = [{ rel: 'self', href: `${base}/` }];
  if (minor > 0)
    return { id: 'v1', status: 'CURRENT', min_version: '1.0', max_version: `1.${MINORS}`, links };
  const type = 'application/vnd.openstack.key-manager-v1+json';
  return { id: 'v1', status: 'stable', links, 'media-types': [{ base: 'application/json', type }] };
}

/** As Barbican prints them. */
export function sendFault(reply: FastifyReply, code: number, description: string): FastifyReply {
  return reply
    .code(code)
    .type('application/json')
    .send({ code, title: STATUS_CODES[code] ?? 'Error', description });
}
