/** The identity API of a standalone system: Keystone v3, as far as one domain and no groups need it. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Fault } from '../lib/errors.ts';
import { parseJson } from '../lib/json.ts';
import { DOMAIN } from '../model/identity.ts';
import { baseUrl, catalogOf, REGION } from './catalog.ts';
import type { Identity } from './identity.ts';
import { credentialRoutes } from './identity-credentials.ts';
import { grantRoutes } from './identity-grants.ts';
import { changePassword, recordRoutes } from './identity-records.ts';
import {
  anybody,
  type Call,
  type Collection,
  himselfOrReaders,
  linksOf,
  listBody,
  type Route,
  readers,
  readingRoutes,
} from './identity-routes.ts';
import { addTokenRoutes, getCaller, ownRoutes } from './identity-tokens.ts';
import { openstackErrors } from './openstack-errors.ts';

export interface IdentityApiDeps {
  identity: Identity;
  /** The start of all links; without it, the address that the request was sent to. */
  baseUri: string | null;
}

/** To be mounted at `/identity`. */
export function identityApi({ identity, baseUri }: IdentityApiDeps) {
  const originOf = (request: FastifyRequest) => baseUri?.replace(/\/$/, '') ?? baseUrl(request);
  const baseOf = (request: FastifyRequest) => `${originOf(request)}/identity/v3`;
  return async (app: FastifyInstance): Promise<void> => {
    openstackErrors(app, baseUri);
    acceptEmptyBodies(app);
    app.get('/', async (request, reply) => {
      reply.code(300);
      return { versions: { values: [versionOf(baseOf(request))] } };
    });
    for (const url of ['/v3', '/v3/'])
      app.get(url, async request => ({ version: versionOf(baseOf(request)) }));
    addTokenRoutes(app, { identity, originOf });
    app.post<{ Params: { id: string } }>('/v3/users/:id/password', async (request, reply) => {
      await changePassword(identity, request.params.id, request.body);
      return reply.code(204).send();
    });
    for (const { method, path, may, run } of routes(identity)) {
      app.route({
        method,
        url: `/v3${path}`,
        handler: async (request, reply) => {
          const { params, query, body } = request as Pick<Call, 'params' | 'query' | 'body'>;
          const token = await getCaller(identity, request);
          const call: Call = { params, query, body, token, base: baseOf(request) };
          if (!may(call))
            throw new Fault(
              'forbidden',
              `You are not authorized to perform the requested action: ${method} ${path}.`,
            );
          const answer = await run(call);
          if (answer === undefined) return reply.code(204).send();
          reply.code(method === 'POST' ? 201 : 200);
          return answer;
        },
      });
    }
  };
}

function routes(identity: Identity): Route[] {
  return [
    ...ownRoutes(identity),
    ...recordRoutes(identity),
    ...grantRoutes(identity),
    ...credentialRoutes(identity),
    ...COLLECTIONS.flatMap(readingRoutes),
    {
      ...{ method: 'GET', path: '/users/:user_id/groups', may: himselfOrReaders },
      run: async call => listBody(call, 'groups', []),
    },
  ];
}

/** What nobody makes here: it follows from what the system is. */
const COLLECTIONS: Collection[] = [
  {
    ...{ plural: 'domains', singular: 'domain', mayList: anybody, mayShow: anybody },
    list: ({ base }) => [
      { ...DOMAIN, description: '', enabled: true, options: {}, links: linksOf(base, 'domains', DOMAIN.id) },
    ],
  },
  { ...{ plural: 'groups', singular: 'group', mayList: readers, mayShow: readers }, list: () => [] },
  {
    ...{ plural: 'regions', singular: 'region', mayList: anybody, mayShow: anybody },
    list: ({ base }) => [
      { id: REGION, description: '', parent_region_id: null, links: linksOf(base, 'regions', REGION) },
    ],
  },
  {
    ...{ plural: 'services', singular: 'service', mayList: readers, mayShow: readers },
    list: ({ base }) =>
      servicesOf(base).map(({ endpoints: _, ...service }) => ({
        ...service,
        ...{ enabled: true, description: '', links: linksOf(base, 'services', service.id) },
      })),
  },
  {
    ...{ plural: 'endpoints', singular: 'endpoint', mayList: readers, mayShow: readers },
    list: ({ base }) =>
      servicesOf(base).flatMap(({ id: service_id, endpoints }) =>
        endpoints.map(endpoint => ({
          ...endpoint,
          ...{ service_id, enabled: true, links: linksOf(base, 'endpoints', endpoint.id) },
        })),
      ),
  },
];

const servicesOf = (base: string) => catalogOf(base.slice(0, -'/identity/v3'.length));

/** Clients send `PUT` and `DELETE` without a body and call it JSON all the same. */
function acceptEmptyBodies(app: FastifyInstance): void {
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string' },
    async (_: FastifyRequest, text: string) => parseJson(text),
  );
}

function versionOf(base: string) {
  return {
    id: 'v3.14',
    status: 'stable',
    updated: '2020-04-07T00:00:00Z',
    links: [{ rel: 'self', href: `${base}/` }],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
  };
}
