/** LBaaS v2, as Neutron had it, for clients that know nothing newer: the same objects and rules under the network endpoint. */
import type { FastifyPluginAsync, FastifyRequest, RouteHandlerMethod } from 'fastify';
import { Fault } from '../../lib/errors.ts';
import { identify, type RuledCaller } from '../auth.ts';
import type { ApiDeps } from '../resource.ts';
import { Router } from '../routes.ts';
import { answerFault, baseUrl, pathOf, readBodies, tagReply } from '../server.ts';
import { oldFaultAnswer } from './faults.ts';
import { graphOperation } from './graph.ts';
import { neighbourOperations } from './neighbours.ts';
import { octaviaOperations, resourceOperations } from './operations.ts';

/** Below the version; Neutron's own resources beside them are another's. */
const PATHS = [
  '/lbaas/*',
  '/agents/:id/agent-loadbalancers',
  '/service-providers',
  '/flavors',
  '/flavors/:id',
];

/** To be mounted where the network endpoint has its version: `/network/v2.0`. */
export const lbaasV2Plugin: FastifyPluginAsync<{ deps: ApiDeps }> = async (app, { deps }) => {
  const octavia = octaviaOperations(deps);
  const router = new Router([
    ...resourceOperations(deps, octavia),
    ...neighbourOperations(deps, octavia),
    graphOperation(deps, octavia),
  ]);
  const callers = new WeakMap<FastifyRequest, RuledCaller>();
  app.addHook('onRequest', async (request, reply) => {
    tagReply(reply);
    callers.set(request, await identify(deps, request));
  });
  readBodies(app);
  const run: RouteHandlerMethod = async (request, reply) => {
    const path = pathOf(request);
    const match = router.find(request.method, path.slice(app.prefix.length + 1));
    if (!match) throw new Fault('not-found', 'The resource could not be found.');
    const { operation, params } = match;
    const url = baseUrl(deps, request) + path;
    const caller = callers.get(request)!;
    const body = await operation.run({ params, query: queryOf(request), body: request.body, caller, url });
    void reply.code(operation.status);
    return operation.status === 204 ? reply.send() : reply.send(body);
  };
  for (const path of PATHS) {
    for (const url of path.endsWith('*') ? [path] : [path, `${path}.json`])
      app.route({ method: ['GET', 'POST', 'PUT', 'DELETE'], url, handler: run, exposeHeadRoute: false });
  }
  app.setErrorHandler((error, request, reply) =>
    answerFault(deps, error, request, reply, oldFaultAnswer(error)),
  );
};

const queryOf = (request: FastifyRequest): URLSearchParams =>
  new URLSearchParams(request.url.slice(pathOf(request).length));
