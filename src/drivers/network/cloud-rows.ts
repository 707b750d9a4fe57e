/** Everything that a cloud's network consists of, read at once. */
import type { CloudKind, CloudRecords } from '../../model/cloud-network.ts';
import type { NetworkStore } from './store.ts';

export type CloudRows = { [K in CloudKind]: CloudRecords[K][] };

export async function readCloudRows(store: Pick<NetworkStore, 'list'>): Promise<CloudRows> {
  const [network, subnet, port, security_group, security_group_rule, floating_ip] = await Promise.all([
    store.list('network'),
    store.list('subnet'),
    store.list('port'),
    store.list('security_group'),
    store.list('security_group_rule'),
    store.list('floating_ip'),
  ]);
  return { network, subnet, port, security_group, security_group_rule, floating_ip };
}
