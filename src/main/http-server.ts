/** The one HTTP server of a standalone system: load balancing at `/`, and beside it identity and network. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import { type ApiDeps, apiPlugin, noauth } from '../api/server.ts';
import type { CloudNetwork, Network } from '../drivers/network/network.ts';
import { Fault } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import type { Authenticate } from '../model/caller.ts';
import type { Identity } from '../standalone/identity.ts';
import { ROLES } from '../standalone/identity.ts';
import { identityApi } from '../standalone/identity-api.ts';
import { networkApi } from '../standalone/network-api.ts';

export interface HttpServerParts {
  api: Omit<ApiDeps, 'authenticate'>;
  network: Network;
  isShared: (network: CloudNetwork) => boolean;
  /** undefined: nobody is asked who he is. */
  identity: Identity | undefined;
}

export function buildHttpServer({ api, network, isShared, identity }: HttpServerParts): FastifyInstance {
  const baseUri = api.settings.api_base_uri;
  const authenticate = identity ? tokenAuthentication(identity) : noAuthentication;
  // Requests under way end; connections that wait for more do not hold up a stop.
  const app = Fastify({ bodyLimit: api.settings.max_request_body_size, forceCloseConnections: 'idle' });
  if (identity) void app.register(identityApi({ identity, baseUri }), { prefix: '/identity' });
  void app.register(networkApi({ network, baseUri, authenticate, isShared }), { prefix: '/network' });
  const deps = { ...api, authenticate };
  // Where a web server in front adds the service's name, as most installations of Octavia have it.
  void app.register(apiPlugin, { deps, prefix: '/load-balancer' });
  void app.register(apiPlugin, { deps });
  return app;
}

/** Whose the things are that somebody makes who says no project: unmodified clients cannot say one without a Keystone. */
const NOBODYS_PROJECT = '0'.repeat(32);

const noAuthentication: Authenticate = async request => {
  const caller = await noauth(request);
  return { ...caller, project_id: caller.project_id ?? NOBODYS_PROJECT };
};

/** Every holder of a token of the standalone identity is its admin. */
function tokenAuthentication(identity: Identity): Authenticate {
  return async request => {
    const token = request.headers['x-auth-token'];
    const facts =
      typeof token === 'string' && token !== '' ? await identity.findToken(new Secret(token)) : undefined;
    if (!facts) throw new Fault('unauthorized', 'The request you have made requires authentication.');
    const { user_id, project_id } = facts;
    return { user_id, project_id, domain_id: null, system_scope: null, roles: ROLES, is_admin: true };
  };
}

/** The port itself, or one that is free now when it is 0. */
export async function choosePort(host: string, port: number): Promise<number> {
  if (port !== 0) return port;
  const probe = createServer().listen({ host, port: 0 });
  await once(probe, 'listening');
  const chosen = (probe.address() as { port: number }).port;
  probe.close();
  await once(probe, 'close');
  return chosen;
}

/** A URL that a client on this machine can use. */
export function localUrl(host: string, port: number): string {
  const reachable = host === '0.0.0.0' || host === '' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}
