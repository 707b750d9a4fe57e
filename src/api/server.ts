/** The API's edge: the life of a request, from the socket to the answer. Knows HTTP; knows no rows and no drivers. */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import Fastify, {
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
  type HTTPMethods,
  type RouteHandlerMethod,
} from 'fastify';
import { findDataVersion } from '../db/data-version.ts';
import { errorChain, Fault } from '../lib/errors.ts';
import { parseJson } from '../lib/json.ts';
import { identify, type RuledCaller } from './auth.ts';
import { tagForBrowser } from './cors.ts';
import { createOperation } from './create-load-balancer.ts';
import { faultAnswer } from './faults.ts';
import { healthCheck, healthDocument } from './health-check.ts';
import { openApiDocument } from './openapi/document.ts';
import { childOperations } from './operations.ts';
import { RememberedAnswers } from './remembered-answers.ts';
import type { ApiDeps, Operation } from './resource.ts';
import { accessLogOperations } from './resources/access-log.ts';
import { amphoraOperations } from './resources/amphorae.ts';
import { healthMonitors } from './resources/health-monitors.ts';
import { l7policies } from './resources/l7-policies.ts';
import { l7rules } from './resources/l7-rules.ts';
import { listenerOperations, listeners } from './resources/listeners.ts';
import { loadBalancerOperations } from './resources/load-balancers.ts';
import { memberOperations, members } from './resources/members.ts';
import { offerOperations } from './resources/offers.ts';
import { pools } from './resources/pools.ts';
import { providerOperations } from './resources/providers.ts';
import { quotaOperations } from './resources/quotas.ts';
import { timelineOperations } from './resources/timeline.ts';
import { type Match, NotAllowed, Router, segmentsOf } from './routes.ts';
import { versionsDocument } from './versions.ts';

export { identify, noauth } from './auth.ts';
export { Policy } from './policy/policy.ts';
export type { ApiDeps, ProviderEntry } from './resource.ts';
export { type ApiSettings, DEFAULT_API_SETTINGS } from './settings.ts';

export function apiOperations(deps: ApiDeps): Operation[] {
  return [
    createOperation(deps),
    ...loadBalancerOperations(deps),
    ...accessLogOperations(deps),
    ...timelineOperations(deps),
    ...childOperations(deps, listeners),
    ...listenerOperations(deps),
    ...childOperations(deps, pools),
    ...childOperations(deps, members),
    ...memberOperations(deps),
    ...childOperations(deps, healthMonitors),
    ...childOperations(deps, l7policies),
    ...childOperations(deps, l7rules),
    ...quotaOperations(deps),
    ...providerOperations(deps),
    ...offerOperations(deps),
    ...amphoraOperations(deps),
  ];
}

/** The API alone on a server of its own. */
export function buildApi(deps: ApiDeps): FastifyInstance {
  const app = Fastify(serverOptions(deps));
  void app.register(apiPlugin, { deps });
  return app;
}

type EdgeDeps = Pick<ApiDeps, 'settings' | 'log'>;

/** For whichever server the API is on. */
export function serverOptions(deps: EdgeDeps): FastifyServerOptions {
  return {
    bodyLimit: deps.settings.max_request_body_size,
    // Thrown before any hook runs, such as by a path that cannot be decoded.
    frameworkErrors: (error, request, reply) => {
      tagReply(reply);
      tagForBrowser(deps.settings.cors, request, reply);
      void answerFault(deps, error, request, reply);
    },
  };
}

/** What is known of a request before its body is read. */
interface Admitted {
  caller: RuledCaller;
  /** undefined for a version document. */
  match: Match | undefined;
  /** Remembers the answer, where that may be done. */
  keep: ((answer: Buffer) => void) | undefined;
}

/**
 * The API as a guest on a server that others share: `/`, `/v2…` and `/healthcheck` below its prefix, and an answer for
 * every path there that nobody else has taken.
 */
export const apiPlugin: FastifyPluginAsync<{ deps: ApiDeps }> = async (app, { deps }) => {
  const operations = apiOperations(deps);
  const router = new Router(operations);
  const admitted = new WeakMap<FastifyRequest, Admitted>();
  const answers = new RememberedAnswers(() => findDataVersion(deps.db));
  const streams = new Set<Readable>();
  app.addHook('preClose', async () => {
    for (const stream of streams) stream.destroy();
  });

  // 1. Every answer has an id by which the log is searched.
  app.addHook('onRequest', (request, reply, done) => {
    tagReply(reply);
    tagForBrowser(deps.settings.cors, request, reply);
    // A browser asks so before it sends a token. Source: contract api.md 1.3.
    if (request.method === 'OPTIONS') void reply.code(200).send();
    else done();
  });
  // 2. Before its body is looked at: what the client can read, who it is, what it asks for.
  app.addHook('onRequest', async (request, reply) => {
    if (isOpen(request)) return;
    checkRequest(request);
    const caller = await identify(deps, request);
    if (request.is404) return;
    const key = request.method === 'GET' ? keyOf(caller, baseUrl(deps, request) + request.url) : '';
    const answer = answers.find(key);
    if (answer) return sendJson(reply, answer);
    const match = findOperation(router, request);
    if (wantsEvents(request) && !match?.operation.live) throw notAcceptable();
    const keep = match?.operation.remembered && answers.prepare(key);
    admitted.set(request, { caller, match, keep });
  });
  // 3. The body: JSON under any of its names; a form is read and ignored, as Octavia does.
  readBodies(app);
  // 4. The operation: its query, its resource's rules, one transaction, the nudge, the answer.
  const run: RouteHandlerMethod = async (request, reply) => {
    const { caller, match, keep } = admitted.get(request)!;
    if (!match) return reply.type('application/json').send('"v2"');
    const { operation, params } = match;
    const url = baseUrl(deps, request) + pathOf(request);
    const query = queryOf(request, operation);
    if (wantsEvents(request)) query.set('follow', 'true');
    const body = await operation.run({ params, query, body: request.body, caller, url });
    if (body instanceof Readable) return sendLines(deps, reply, streams, body, operation.live);
    if (!keep) return reply.code(operation.status).send(body);
    const answer = Buffer.from(JSON.stringify(body));
    keep(answer);
    return sendJson(reply, answer);
  };
  const bodyLimit = deps.settings.max_request_body_size;
  for (const version of ['/v2', '/v2.0']) {
    for (const url of [version, `${version}/*`])
      app.route({ method: METHODS, url, handler: run, bodyLimit, exposeHeadRoute: false });
  }
  addOpenDocuments(app, deps, operations);
  // 5. Whatever went wrong on the way, once, here.
  app.setNotFoundHandler(async () => {
    throw new Fault('not-found', 'The resource could not be found.');
  });
  app.setErrorHandler((error, request, reply) => answerFault(deps, error, request, reply));
};

const METHODS: HTTPMethods[] = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'TRACE'];
const VERSION_DOCUMENTS = ['', 'octavia'];

/** undefined when a version document is asked for. */
function findOperation(router: Router, request: FastifyRequest): Match | undefined {
  const path = (request.params as { '*'?: string })['*'] ?? '';
  const isDocument = VERSION_DOCUMENTS.includes(segmentsOf(path).join('/'));
  if (isDocument && request.method === 'GET') return undefined;
  if (isDocument) throw new NotAllowed(request.method, ['GET']);
  const found = router.find(request.method, path);
  if (!found) throw new Fault('not-found', 'The resource could not be found.');
  return found;
}

/** What needs no token: what a client reads to find its way, and a balancer to find us. */
function addOpenDocuments(app: FastifyInstance, deps: ApiDeps, operations: readonly Operation[]): void {
  const add = (url: string, methods: HTTPMethods[], handler: RouteHandlerMethod) => {
    const route = { url, config: { open: true }, exposeHeadRoute: false };
    app.route({ ...route, method: methods, handler });
    const others = METHODS.filter(method => !methods.includes(method));
    app.route({
      ...route,
      method: others,
      handler: async request => {
        throw new NotAllowed(request.method, methods);
      },
    });
  };
  add('/', ['GET', 'POST'], async request => versionsDocument(baseUrl(deps, request) + app.prefix));
  // Made once: whoever has no token can ask for it as often as he likes.
  let described: object | undefined;
  add('/openapi.json', ['GET'], async request => {
    described ??= openApiDocument(operations);
    return { ...described, servers: [{ url: baseUrl(deps, request) + app.prefix }] };
  });
  if (deps.settings.healthcheck_enabled) {
    const look = healthCheck(deps, deps.settings.healthcheck_refresh_interval * 1000);
    add('/healthcheck', ['GET', 'HEAD'], async (request, reply) => {
      const reason = await look();
      const { type, body } = healthDocument(request.headers.accept, reason);
      void reply.code(reason === undefined ? 200 : 503).type(`${type}; charset=utf-8`);
      return request.method === 'HEAD'
        ? reply.code(reason === undefined ? 204 : 503).send()
        : reply.send(body);
    });
  }
}

/** All that an answer depends on besides rows: who asks, under which rules, and for what, under which name of ours. */
function keyOf({ rules, ...caller }: RuledCaller, url: string): string {
  return `${rules.serial} ${url} ${JSON.stringify(caller)}`;
}

const sendJson = (reply: FastifyReply, answer: Buffer): FastifyReply =>
  reply.type('application/json; charset=utf-8').send(answer);

/** JSON line by line, or server-sent events, for as long as both sides want. */
function sendLines(
  { log }: EdgeDeps,
  reply: FastifyReply,
  streams: Set<Readable>,
  lines: Readable,
  areEvents = false,
): FastifyReply {
  streams.add(lines);
  lines.once('close', () => streams.delete(lines));
  lines.once('error', error => log.error({ cause: errorChain(error) }, 'an answer broke off'));
  // Web servers in front would keep lines until there are many.
  const type = areEvents ? 'text/event-stream' : 'application/x-ndjson';
  return reply.type(type).headers({ 'x-accel-buffering': 'no', 'cache-control': 'no-cache' }).send(lines);
}

/** Whether the path may be read without a token. */
const isOpen = (request: FastifyRequest): boolean =>
  (request.routeOptions.config as { open?: boolean } | undefined)?.open === true;

export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(JSON_TYPES, { parseAs: 'string' }, async (_: FastifyRequest, text: string) =>
    parseJson(text),
  );
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, async () => undefined);
}

const REQUEST_ID = 'x-openstack-request-id';

export function tagReply(reply: FastifyReply): void {
  void reply.header(REQUEST_ID, `req-${randomUUID()}`);
}

function checkRequest(request: FastifyRequest): void {
  const accept = request.headers.accept;
  if (accept && !acceptsJson(accept) && !wantsEvents(request)) throw notAcceptable();
  if (/%00/.test(request.url)) throw new Fault('invalid', 'The URL holds a NUL character.');
}

const notAcceptable = () => new Fault('not-acceptable', 'The API answers application/json only.');

const wantsEvents = ({ headers: { accept } }: FastifyRequest): boolean =>
  accept?.trim().toLowerCase() === 'text/event-stream';

function acceptsJson(accept: string): boolean {
  return accept.split(',').some(range => {
    const [type = '', ...parameters] = range.split(';').map(part => part.trim().toLowerCase());
    if (parameters.some(parameter => /^q=0(\.0*)?$/.test(parameter))) return false;
    return type === '*/*' || type === 'application/*' || type === 'application/json';
  });
}

const JSON_TYPES = ['application/json', 'text/javascript', 'application/javascript'];

export const pathOf = (request: FastifyRequest): string => request.url.split('?', 1)[0]!;

function queryOf(request: FastifyRequest, { query: allowed }: Operation): URLSearchParams {
  const query = new URLSearchParams(request.url.slice(pathOf(request).length));
  const unknown = allowed === 'any' ? undefined : [...query.keys()].find(key => !allowed.includes(key));
  if (unknown !== undefined)
    throw new Fault('invalid', `Unknown argument: ${unknown.slice(0, 60).toWellFormed()} in the query.`);
  return query;
}

export function baseUrl(deps: ApiDeps, request: FastifyRequest): string {
  return deps.settings.api_base_uri?.replace(/\/$/, '') ?? `${request.protocol}://${request.host}`;
}

/** Tells the user what went wrong, and the log who was told; failures of ours with their whole chain of causes. */
export function answerFault(
  deps: EdgeDeps,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  { status, body } = faultAnswer(error),
): FastifyReply {
  const fields = {
    request_id: reply.getHeader(REQUEST_ID),
    method: request.method,
    url: request.url,
    status,
  };
  const isOurs = status === 500 || status === 503;
  if (!isOurs) deps.log.info({ ...fields, cause: errorChain(error) }, 'request refused');
  else
    deps.log.error({ ...fields, cause: errorChain(error), stack: (error as Error).stack }, 'request failed');
  if (error instanceof NotAllowed) void reply.header('allow', error.methods.join(', '));
  if (status === 401)
    void reply.header('www-authenticate', `Keystone uri="${deps.settings.www_authenticate_uri}"`);
  return reply.code(status).type('application/json; charset=utf-8').send(body);
}
