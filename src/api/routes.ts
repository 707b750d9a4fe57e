/** Puts the operations onto every path that Octavia serves them under, and answers for the methods in between. */
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods, RouteHandlerMethod } from 'fastify';
import { Fault } from '../lib/errors.ts';
import type { Operation } from './resource.ts';

/** All four are the same. Source: contract api.md 1.3. */
const VERSIONS = ['/v2/lbaas', '/v2.0/lbaas', '/v2', '/v2.0'];
const METHODS: HTTPMethods[] = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD'];

export function addOperations(
  app: FastifyInstance,
  operations: readonly Operation[],
  bodyLimit: number,
  run: (operation: Operation, request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
): void {
  const byPath = Map.groupBy(operations, operation => operation.path);
  for (const [path, group] of byPath) {
    const urls = VERSIONS.flatMap(version => spellings(version + path));
    const common = { exposeHeadRoute: false, bodyLimit };
    for (const operation of group) {
      const handler: RouteHandlerMethod = (request, reply) => run(operation, request, reply);
      for (const url of urls) app.route({ method: operation.method, url, handler, ...common });
    }
    const allowed = group.map(operation => operation.method);
    const others = METHODS.filter(method => !(allowed as HTTPMethods[]).includes(method));
    const isCollection = group.some(operation => operation.method === 'POST');
    const refuse: RouteHandlerMethod = async (request, reply) => {
      // A collection's path is an item's without its id. Source: contract api.md 1.3.
      if (isCollection && (request.method === 'PUT' || request.method === 'DELETE'))
        throw new Fault('invalid', 'Missing argument: the id of the object must be in the path.');
      void reply.header('allow', allowed.join(', '));
      throw new Fault('not-allowed', `The method ${request.method} is not allowed here.`);
    };
    for (const url of urls) {
      app.route({ method: others, url, handler: refuse, ...common });
      app.route({ method: 'OPTIONS', url, handler: (_request, reply) => reply.send(), ...common });
    }
  }
}

/** Adds a document that is not below a version, for the methods given; others are refused. */
export function addDocument(
  app: FastifyInstance,
  url: string,
  methods: HTTPMethods[],
  handler: RouteHandlerMethod,
  config: { open?: boolean } = {},
): void {
  app.route({ method: methods, url, handler, config, exposeHeadRoute: false });
  app.route({
    method: METHODS.filter(method => !methods.includes(method)),
    url,
    config,
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      void reply.header('allow', methods.join(', '));
      throw new Fault('not-allowed', `The method ${request.method} is not allowed here.`);
    },
  });
}

/** Whether the path may be read without a token. */
export function isOpen(request: FastifyRequest): boolean {
  return (request.routeOptions.config as { open?: boolean } | undefined)?.open === true;
}

/** With a slash at its end, or with `.json`. A parameter at the end takes the suffix along; see `paramsOf`. */
function spellings(url: string): string[] {
  return url.split('/').at(-1)!.startsWith(':') ? [url, `${url}/`] : [url, `${url}/`, `${url}.json`];
}

/** The path's parameters, without the suffix. */
export function paramsOf(request: FastifyRequest): Record<string, string> {
  const entries = Object.entries(request.params as Record<string, string>);
  return Object.fromEntries(entries.map(([name, value]) => [name, value.replace(/\.json$/, '')]));
}
