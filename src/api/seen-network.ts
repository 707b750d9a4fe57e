/** The network as a caller sees it: what belongs to other projects is not there. Source: contract api.md 5.3. */
import type { CloudNetwork, Network } from '../drivers/network/network.ts';
import type { Caller } from '../model/caller.ts';
import type { ApiSettings } from './settings.ts';

/** A network that does not tell whether it is shared hides nothing. */
export function seenBy(
  caller: Caller,
  network: Network,
  settings: Pick<ApiSettings, 'allow_invisible_resource_usage'>,
): Network {
  if (caller.is_admin || settings.allow_invisible_resource_usage) return network;
  const isOwn = (thing: { project_id?: string | null }) =>
    thing.project_id != null && thing.project_id === caller.project_id;
  const isSeen = (found: CloudNetwork | undefined) =>
    found === undefined || found.shared !== false || isOwn(found);
  const isIn = async (thing: { network_id: string }) => isSeen(await network.findNetwork(thing.network_id));
  const lookups: Partial<Network> = {
    findNetwork: async id => only(await network.findNetwork(id), isSeen),
    findSubnet: async (id, networkId) => only(await network.findSubnet(id, networkId), isIn),
    findPort: async id => only(await network.findPort(id), isOwn),
    findSecurityGroup:
      network.findSecurityGroup && (async id => only(await network.findSecurityGroup?.(id), isOwn)),
  };
  return new Proxy(network, {
    get(target, name) {
      if (Object.hasOwn(lookups, name)) return lookups[name as keyof Network];
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

async function only<T>(found: T | undefined, fits: (found: T) => boolean | Promise<boolean>) {
  return found !== undefined && (await fits(found)) ? found : undefined;
}
