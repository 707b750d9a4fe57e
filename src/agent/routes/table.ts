/** All routes of the agent API. Source: contract amphora-agent.md 3. */
import { AGENT_API_VERSION } from '../../wire/agent-api.ts';
import { httpError } from '../reply.ts';
import * as agent from './agent.ts';
import * as certificates from './certificates.ts';
import * as haproxy from './haproxy.ts';
import * as interfaces from './interfaces.ts';
import * as lvs from './lvs.ts';
import * as plug from './plug.ts';
import type { Route } from './route.ts';
import * as vrrp from './vrrp.ts';

/** Changes wait for one another; what only looks does not. */
export interface RouteEntry {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  path: string;
  route: Route;
}

const V = `/${AGENT_API_VERSION}`;

/** The first that matches wins: literal before parameter. */
export const ROUTES: readonly RouteEntry[] = [
  { method: 'GET', path: '/', route: agent.discover },
  { method: 'GET', path: `${V}/info`, route: agent.info },
  { method: 'GET', path: `${V}/details`, route: agent.details },
  { method: 'GET', path: `${V}/listeners`, route: agent.listeners },
  { method: 'PUT', path: `${V}/config`, route: agent.configure },
  { method: 'PUT', path: `${V}/certificate`, route: agent.rotateCertificate },
  { method: 'PUT', path: `${V}/loadbalancer/:amphora/:lb/haproxy`, route: haproxy.upload },
  { method: 'GET', path: `${V}/loadbalancer/:lb/haproxy`, route: haproxy.show },
  { method: 'PUT', path: `${V}/loadbalancer/:lb/certificates/:file`, route: certificates.upload },
  { method: 'GET', path: `${V}/loadbalancer/:lb/certificates/:file`, route: certificates.show },
  { method: 'DELETE', path: `${V}/loadbalancer/:lb/certificates/:file`, route: certificates.remove },
  { method: 'PUT', path: `${V}/loadbalancer/:lb/:action`, route: lvs.act },
  { method: 'DELETE', path: `${V}/listeners/:lb`, route: lvs.remove },
  { method: 'PUT', path: `${V}/listeners/:amphora/:listener/udp_listener`, route: lvs.upload },
  { method: 'GET', path: `${V}/listeners/:listener/udp_listener`, route: lvs.show },
  { method: 'POST', path: `${V}/plug/vip/:vip`, route: plug.plugVip },
  { method: 'POST', path: `${V}/plug/network`, route: plug.plugNetwork },
  { method: 'PUT', path: `${V}/vrrp/upload`, route: vrrp.upload },
  { method: 'PUT', path: `${V}/vrrp/:action`, route: vrrp.act },
  { method: 'GET', path: `${V}/interface/:ip`, route: interfaces.show },
  { method: 'PUT', path: `${V}/interface/:ip/rules`, route: interfaces.setRules },
];

const COMPILED = ROUTES.map(entry => ({ entry, segments: entry.path.split('/').slice(1) }));

/** Throws the JSON error for what is not there. The stock controller really asks for `//`. */
export function findRoute(method: string, target: string): { route: Route; params: Record<string, string> } {
  const path = target.split('?')[0]!.replace(/^\/+/, '/');
  const segments = path.split('/').slice(1);
  let pathExists = false;
  for (const { entry, segments: pattern } of COMPILED) {
    const params = match(pattern, segments);
    if (params === undefined) continue;
    pathExists = true;
    if (entry.method === method) return { route: entry.route, params };
  }
  throw pathExists
    ? httpError(405, `${method} is not possible for ${path}`)
    : httpError(404, `There is nothing at ${path}`);
}

function match(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index]!;
    if (!part.startsWith(':')) {
      if (part !== segment) return undefined;
    } else {
      const value = decodeSegment(segment);
      if (value === undefined || value === '') return undefined;
      params[part.slice(1)] = value;
    }
  }
  return params;
}

function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    // Not a path that anything could lie at.
    return undefined;
  }
}
