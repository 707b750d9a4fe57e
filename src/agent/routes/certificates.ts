/** Routes for the certificates of one load balancer. Source: contract amphora-agent.md 3 and 9. */
import { join } from 'node:path';
import { haproxyFiles } from '../config.ts';
import { findBytes, removeFile, writeWhole } from '../files.ts';
import type { AgentParts } from '../parts.ts';
import { md5, ok, Refusal } from '../reply.ts';
import { idOf } from './params.ts';
import type { AgentRequest, Route } from './route.ts';

/** haproxy sees it at the next start or reload; `Haproxy.apply` finds out by itself which files differ from what it has loaded. */
export const upload: Route = (parts, request) => {
  writeWhole(certificatePath(parts, request), request.body, 0o600);
  return { ...ok(200), etag: md5(request.body) };
};

export const show: Route = (parts, request) => {
  const content = findBytes(certificatePath(parts, request));
  if (content === undefined) {
    const details = `No certificate with filename: ${request.params.file}`;
    throw new Refusal(404, { message: 'Certificate Not Found', details });
  }
  return { status: 200, body: { md5sum: md5(content) }, etag: md5(content) };
};

export const remove: Route = (parts, request) => {
  removeFile(certificatePath(parts, request));
  return ok(200);
};

/** Stricter than the original by the slash: the name stays inside its directory. */
function certificatePath({ config }: AgentParts, request: AgentRequest): string {
  const name = request.params.file ?? '';
  if (!/(\w.)+pem/.test(name) || /[/\0]|^\./.test(name)) {
    throw new Refusal(400, { message: 'Filename has wrong format' });
  }
  return join(haproxyFiles(config.paths, idOf(request, 'lb')).certificates, name);
}
