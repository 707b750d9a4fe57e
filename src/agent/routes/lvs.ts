/** Routes for UDP and SCTP listeners, which the kernel balances. Source: contract amphora-agent.md 3, 4.1 and 5.7. */
import { errorChain } from '../../lib/errors.ts';
import { listLoadBalancers } from '../facts.ts';
import { updateHaproxyCheck } from '../keepalived/check-script.ts';
import { md5, ok, Refusal } from '../reply.ts';
import * as haproxy from './haproxy.ts';
import { actionOf, idOf } from './params.ts';
import type { Route } from './route.ts';

/** A text that cannot be served is refused, so that no controller takes a listener for served that is not. */
export const upload: Route = ({ lvs, config }, request) => {
  try {
    lvs.store(idOf(request, 'listener'), request.body.toString('utf8'));
  } catch (cause) {
    throw new Refusal(400, { message: 'Invalid request', details: errorChain(cause) }, { cause });
  }
  if (config.topology === 'ACTIVE_STANDBY') updateHaproxyCheck(config.paths);
  return { ...ok(200), etag: md5(request.body) };
};

export const show: Route = ({ lvs }, request) => {
  const id = idOf(request, 'listener');
  const body = lvs.find(id);
  if (body !== undefined) return { status: 200, body };
  throw new Refusal(404, { message: 'UDP Listener Not Found', details: `No UDP listener with UUID: ${id}` });
};

/** The object is a load balancer's haproxy, or a listener. Source: contract amphora-agent.md 4.1. */
export const act: Route = async (parts, request) => {
  const id = idOf(request, 'lb');
  if (haproxy.isPresent(parts, id) || !parts.lvs.has(id)) return haproxy.act(parts, request);
  const action = actionOf(request);
  try {
    if (action === 'stop') await parts.lvs.stop(id);
    else {
      const isNew = await parts.lvs.start(id);
      // A haproxy that is still to be started announces the VIPs when it serves them too.
      const isLast = listLoadBalancers(parts.config.paths).every(lb => parts.haproxy.isRunning(lb));
      if (isNew && isLast && parts.config.topology === 'SINGLE')
        await haproxy.advertise(parts, id, parts.lvs.vipsOf(id));
    }
  } catch (cause) {
    const message = `Failed to ${action} keepalivedlvs listener ${id}`;
    throw new Refusal(500, { message, details: errorChain(cause) }, { cause });
  }
  // The wording, spelling included, is the wire's.
  return ok(202, `keepalivedlvs listener ${id} ${action === 'reload' ? 'restart' : action}ed`);
};

export const remove: Route = async (parts, request) => {
  const id = idOf(request, 'lb');
  if (!parts.lvs.has(id)) return haproxy.remove(parts, request);
  try {
    await parts.lvs.remove(id);
  } catch (cause) {
    throw new Refusal(
      500,
      { message: 'Error stopping keepalivedlvs', details: errorChain(cause) },
      { cause },
    );
  }
  if (parts.config.topology === 'ACTIVE_STANDBY') updateHaproxyCheck(parts.config.paths);
  return ok(200);
};
