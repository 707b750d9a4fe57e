/** Lets web sites of the operator's choice use the API from a browser. Source: contract api.md 2.1, oslo.middleware's cors. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { CorsSettings } from './settings.ts';

/** Headers that every site may send. */
const SIMPLE_HEADERS =
  'Accept Accept-Language Content-Type Cache-Control Content-Language Expires Last-Modified Pragma'.split(
    ' ',
  );

/** What a browser reads to decide; nothing for a site that is not allowed, which is how it is refused. */
export function tagForBrowser(settings: CorsSettings, request: FastifyRequest, reply: FastifyReply): void {
  const { origin } = request.headers;
  const { allowed_origin: allowed } = settings;
  if (allowed.length === 0) return;
  void reply.header('vary', 'Origin');
  if (origin === undefined || !(allowed.includes(origin) || allowed.includes('*'))) return;
  const wanted = request.method === 'OPTIONS' ? preflight(settings, request) : exposed(settings);
  if (!wanted) return;
  void reply.headers({
    'access-control-allow-origin': allowed.includes(origin) ? origin : '*',
    ...(settings.allow_credentials && { 'access-control-allow-credentials': 'true' }),
    ...wanted,
  });
}

function exposed({ expose_headers: names }: CorsSettings): Record<string, string> {
  return names.length > 0 ? { 'access-control-expose-headers': names.join(',') } : {};
}

/** undefined when the request that it announces may not be sent. */
function preflight(settings: CorsSettings, { headers }: FastifyRequest): Record<string, string> | undefined {
  const method = headers['access-control-request-method'];
  if (method === undefined || !settings.allow_methods.includes(method)) return undefined;
  const permitted = [...settings.allow_headers, ...SIMPLE_HEADERS].map(name => name.toLowerCase());
  const names = (headers['access-control-request-headers'] ?? '')
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '');
  if (!names.every(name => permitted.includes(name.toLowerCase()))) return undefined;
  return {
    'access-control-allow-methods': method,
    ...(names.length > 0 && { 'access-control-allow-headers': names.join(',') }),
    ...(settings.max_age > 0 && { 'access-control-max-age': String(settings.max_age) }),
  };
}
