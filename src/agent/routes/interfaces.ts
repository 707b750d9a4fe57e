/** Routes that ask for an inner interface by its address. Source: contract amphora-agent.md 3, 4.7 and 7. */
import { isAddress } from '../network/address.ts';
import { decodeRules, loadRules, writeRules } from '../network/firewall.ts';
import type { AgentParts } from '../parts.ts';
import { httpError, ok, Refusal } from '../reply.ts';
import { jsonOf } from './params.ts';
import type { AgentRequest, Route } from './route.ts';

export const show: Route = async (parts, request) => ({
  status: 200,
  body: { message: 'OK', interface: await interfaceOf(parts, request) },
});

export const setRules: Route = async (parts, request) => {
  const name = await interfaceOf(parts, request);
  const words = 'Invalid rules information';
  const rules = decodeRules(jsonOf(request, words));
  if (rules === undefined) throw httpError(400, words);
  writeRules(parts.config.paths, rules, name);
  await loadRules(parts.config.paths);
  return ok(200);
};

async function interfaceOf({ interfaces }: AgentParts, request: AgentRequest): Promise<string> {
  const address = request.params.ip;
  if (!isAddress(address)) throw new Refusal(400, { message: 'Invalid IP address' });
  const name = await interfaces.findByAddress(address);
  if (name === undefined) throw new Refusal(404, { message: 'Error interface not found for IP address' });
  return name;
}
