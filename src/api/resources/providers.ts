/** Providers, and what flavors and availability zones may ask of each. Source: contract api.md 13. */
import { Fault } from '../../lib/errors.ts';
import { authorize } from '../auth.ts';
import { selectFields } from '../list-query.ts';
import { getEntry, OFFERS } from '../offers.ts';
import type { ApiDeps, Call, Operation } from '../resource.ts';

export function providerOperations(deps: ApiDeps): Operation[] {
  const select = (call: Call, items: readonly object[]) =>
    items.map(item => selectFields(item, call.query, deps.settings));
  const list = async (call: Call) => {
    authorize(call.caller, 'provider:get_all', call.caller.project_id);
    const all = [...deps.providers].map(([name, { provider, description }]) => ({
      name,
      description: description ?? provider.description,
    }));
    return { providers: select(call, all) };
  };
  const capabilities = (of: keyof typeof OFFERS): Operation => {
    const { title, capabilities: key } = OFFERS[of];
    const run = async (call: Call) => {
      authorize(call.caller, `provider-${title.replace(' ', '-')}:get_all`, call.caller.project_id);
      const { provider } = getEntry(deps, 'provider', call.params.name!);
      const known = provider.supports[key];
      if (known.length === 0)
        throw new Fault('unsupported', `Provider ${provider.name} does not support any ${title}.`);
      const wanted = (['name', 'description'] as const).filter(field => call.query.has(field));
      const shown = known.filter(each => wanted.every(field => call.query.get(field) === each[field]));
      return {
        [key]: select(
          call,
          shown.map(({ name, description }) => ({ name, description })),
        ),
      };
    };
    const path = `/providers/:name/${key}`;
    const query = ['name', 'description', 'fields'];
    return { method: 'GET', path, status: 200, query, answers: key, run };
  };
  return [
    { method: 'GET', path: '/providers', status: 200, query: 'any', answers: 'providers', run: list },
    capabilities('flavor'),
    capabilities('availability_zone'),
  ];
}
