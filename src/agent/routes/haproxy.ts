/** Routes for one load balancer's haproxy. Source: contract amphora-agent.md 3, 4.1 and 5.2 to 5.4. */
import { existsSync, renameSync } from 'node:fs';
import { CommandError } from '../../lib/command.ts';
import { errorChain } from '../../lib/errors.ts';
import type { AgentApplied } from '../../wire/agent-api.ts';
import { findBytes, findText, removeFile, writeWhole } from '../files.ts';
import { findStatsSocket, listBindAddresses, withoutGroup } from '../haproxy/config-text.ts';
import { checkScriptPath, updateHaproxyCheck } from '../keepalived/check-script.ts';
import type { AgentParts } from '../parts.ts';
import { md5, ok, Refusal, type Reply } from '../reply.ts';
import { actionOf, idOf } from './params.ts';
import type { Route } from './route.ts';

/** Stores what haproxy accepts; it runs with it from the next start or reload on. */
export const upload: Route = async (parts, request): Promise<Reply> => {
  const id = idOf(request, 'lb');
  const files = parts.haproxy.files(id);
  const text = withoutGroup(request.body.toString('utf8'));
  writeWhole(files.candidate, text, 0o600);
  try {
    await parts.haproxy.check(idOf(request, 'amphora'), files.candidate);
  } catch (cause) {
    if (!(cause instanceof CommandError) || cause.exitCode === null) throw cause;
    renameSync(files.candidate, files.rejected);
    const details = `${cause.stdout}${cause.stderr}`;
    throw new Refusal(400, { message: 'Invalid request', details }, { cause });
  }
  renameSync(files.candidate, files.config);
  return { ...ok(202), etag: md5(request.body) };
};

export const show: Route = (parts, request) => {
  const id = idOf(request, 'lb');
  const config = findBytes(parts.haproxy.files(id).config);
  if (config === undefined) throw loadBalancerNotFound(id);
  return { status: 200, body: config.toString('utf8'), etag: md5(config) };
};

export const isPresent = ({ haproxy }: AgentParts, id: string): boolean =>
  existsSync(haproxy.files(id).config);

function loadBalancerNotFound(id: string): Refusal {
  return new Refusal(404, {
    message: 'Loadbalancer Not Found',
    details: `No loadbalancer with UUID: ${id}`,
  });
}

export const act: Route = async (parts, request) => {
  const action = actionOf(request);
  const id = idOf(request, 'lb');
  if (!isPresent(parts, id)) throw loadBalancerNotFound(id);
  try {
    if (parts.config.topology === 'ACTIVE_STANDBY') {
      updateHaproxyCheck(parts.config.paths, action === 'stop' ? id : undefined);
    }
    const applied = await change(parts, id, action);
    // A change over the runtime socket moves no address.
    const isNew = action === 'start' || applied?.how === 'started' || applied?.how === 'reloaded';
    if (isNew && parts.config.topology === 'SINGLE')
      await advertise(parts, id, listBindAddresses(findText(parts.haproxy.files(id).config) ?? ''));
    const details = actionDetails(action, id);
    return { status: 202, body: { message: 'OK', details, ...(applied && { applied }) } };
  } catch (cause) {
    throw new Refusal(500, { message: `Error ${action}ing haproxy`, details: errorChain(cause) }, { cause });
  } finally {
    parts.noteChange();
  }
};

type Action = 'start' | 'stop' | 'reload';

async function change(parts: AgentParts, id: string, action: Action): Promise<AgentApplied | undefined> {
  if (action === 'stop') {
    await parts.haproxy.stop(id);
    return undefined;
  }
  if (action === 'start') return parts.haproxy.start(id, 'asked to');
  const startedAt = performance.now();
  const applied = await parts.haproxy.apply(id);
  const ms = Math.round(performance.now() - startedAt);
  const { how, reason } = applied;
  parts.log.info({ load_balancer_id: id, how, reason, ms }, 'configuration applied');
  return applied;
}

/** The wording, spelling included, is the wire's. */
function actionDetails(action: Action, id: string): string {
  if (action === 'start') return `Configuration file is valid\nhaproxy daemon for ${id} started`;
  return `Listener ${id} ${action}ed`;
}

/** In a pair keepalived announces the addresses. */
export async function advertise(
  { interfaces, log }: AgentParts,
  id: string,
  addresses: readonly string[],
): Promise<void> {
  const names = new Set<string>();
  for (const address of addresses) {
    const name = await interfaces.findByAddress(address);
    if (name !== undefined) names.add(name);
  }
  try {
    for (const name of names) await interfaces.advertise(name);
  } catch (error) {
    // Neighbours learn the address a little later by asking.
    log.warn({ load_balancer_id: id, reason: errorChain(error) }, 'cannot advertise addresses');
  }
}

export const remove: Route = async (parts, request) => {
  const id = idOf(request, 'lb');
  const files = parts.haproxy.files(id);
  const config = findText(files.config);
  if (config === undefined && !existsSync(files.directory)) return ok(200);
  try {
    await parts.haproxy.stop(id);
  } catch (cause) {
    throw new Refusal(500, { message: 'Error stopping haproxy', details: errorChain(cause) }, { cause });
  }
  const socket = findStatsSocket(config ?? '');
  if (socket !== undefined) removeFile(socket);
  if (existsSync(checkScriptPath(parts.config.paths))) updateHaproxyCheck(parts.config.paths, id);
  await parts.haproxy.remove(id);
  parts.noteChange();
  return ok(200);
};
