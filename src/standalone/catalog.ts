/** The catalog: where the services of a standalone system are, all behind one address. */
import type { FastifyRequest } from 'fastify';

export const REGION = 'RegionOne';

/** The load balancers' URL has no version: the CLI appends `/v2.0` itself. Source: contract clients.md 1. */
const SERVICES = [
  { type: 'load-balancer', name: 'octavia', path: '' },
  { type: 'identity', name: 'keystone', path: '/identity/v3' },
  { type: 'network', name: 'neutron', path: '/network' },
  { type: 'key-manager', name: 'barbican', path: '/key-manager' },
] as const;

/** `base` is such as `http://127.0.0.1:9876`. */
export function catalogOf(base: string) {
  return SERVICES.map(({ type, name, path }) => ({
    id: type,
    type,
    name,
    endpoints: ['public', 'internal', 'admin'].map(interfaceName => ({
      id: `${type}-${interfaceName}`,
      interface: interfaceName,
      region: REGION,
      region_id: REGION,
      url: `${base}${path}`,
    })),
  }));
}

/** The address that the request was sent to, as the client wrote it. */
export function baseUrl(request: FastifyRequest): string {
  return `${request.protocol}://${request.host}`;
}
