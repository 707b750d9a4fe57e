/** The HTTP server: load balancing at `/`, and in a standalone system identity, network and key manager beside it. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import { lbaasV2Plugin } from '../api/lbaas-v2/plugin.ts';
import { type ApiDeps, apiPlugin, noauth, serverOptions } from '../api/server.ts';
import type { SecretTables } from '../db/secrets.ts';
import type { NetworkCloud } from '../drivers/network/store.ts';
import type { Authenticate } from '../model/caller.ts';
import { type Identity, tokenAuthentication } from '../standalone/identity.ts';
import { identityApi } from '../standalone/identity-api.ts';
import { keyManagerApi } from '../standalone/key-manager-api.ts';
import { networkApi } from '../standalone/network-api.ts';

export interface HttpServerParts {
  api: Omit<ApiDeps, 'authenticate'>;
  /** What the network API reads and writes and the key manager keeps, in a system that has its own. */
  cloud: { network: NetworkCloud; secretTables: SecretTables } | undefined;
  /** The standalone identity, which is served here too. */
  identity: Identity | undefined;
  /** Another one; without either, nobody is asked who he is. */
  keystone: Authenticate | undefined;
}

export function buildHttpServer(parts: HttpServerParts): FastifyInstance {
  const { api, cloud, identity, keystone } = parts;
  const baseUri = api.settings.api_base_uri;
  const authenticate = identity ? tokenAuthentication(identity) : (keystone ?? noAuthentication);
  // Requests under way end; connections that wait for more do not hold up a stop.
  const app = Fastify({ ...serverOptions(api), forceCloseConnections: 'idle' });
  if (identity) void app.register(identityApi({ identity, baseUri }), { prefix: '/identity' });
  if (cloud) {
    const network = networkApi({ cloud: cloud.network, baseUri, authenticate });
    void app.register(network, { prefix: '/network' });
    const keyManager = { secrets: cloud.secretTables, clock: api.clock, baseUri, authenticate };
    void app.register(keyManagerApi(keyManager), { prefix: '/key-manager' });
  }
  const deps = { ...api, authenticate };
  // Beside Neutron's own resources, where the clients of Neutron's load balancers look.
  void app.register(lbaasV2Plugin, { deps, prefix: '/network/v2.0' });
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
