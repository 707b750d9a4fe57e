/** Routes for keepalived. Source: contract amphora-agent.md 3 and 5.6. */
import { errorChain } from '../../lib/errors.ts';
import { writeWhole } from '../files.ts';
import { ensureCheckScript, updateHaproxyCheck } from '../keepalived/check-script.ts';
import { md5, ok, Refusal } from '../reply.ts';
import { actionOf } from './params.ts';
import type { Route } from './route.ts';

export const upload: Route = (parts, request) => {
  ensureCheckScript(parts.config.paths);
  updateHaproxyCheck(parts.config.paths);
  writeWhole(parts.keepalived.configFile, request.body);
  return { ...ok(200), etag: md5(request.body) };
};

export const act: Route = async (parts, request) => {
  const action = actionOf(request);
  try {
    await parts.keepalived[action]();
  } catch (cause) {
    const message = `Failed to ${action} octavia-keepalived service`;
    throw new Refusal(500, { message, details: errorChain(cause) }, { cause });
  }
  return ok(202, `keepalived ${action}ed`);
};
