/** Reads what requests carry: ids that become file names, and JSON bodies. */

import { httpError, Refusal } from '../reply.ts';
import type { AgentRequest } from './route.ts';

/** An id out of a path becomes a file name: nothing but what ids are made of may pass. */
export function idOf(request: AgentRequest, name: string): string {
  const id = request.params[name] ?? '';
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/.test(id))
    throw httpError(404, `There is no ${name} with such an id`);
  return id;
}

const ACTIONS = ['start', 'stop', 'reload'] as const;

export function actionOf(request: AgentRequest): (typeof ACTIONS)[number] {
  const { action = '' } = request.params;
  const found = ACTIONS.find(each => each === action.toLowerCase());
  if (found !== undefined) return found;
  throw new Refusal(400, { message: 'Invalid Request', details: `Unknown action: ${action}` });
}

/** Throws the JSON error with these words when the body is no JSON object. */
export function objectOf(request: AgentRequest, words: string): Record<string, unknown> {
  const document = jsonOf(request, words);
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw httpError(400, words);
  return document as Record<string, unknown>;
}

export function jsonOf(request: AgentRequest, words: string): unknown {
  try {
    return JSON.parse(request.body.toString('utf8'));
  } catch (cause) {
    throw Object.assign(httpError(400, words), { cause });
  }
}
