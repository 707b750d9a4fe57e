/** The drivers that the settings choose, as one thing. */
import { NetworkTables } from '../db/networks.ts';
import type { Db } from '../db/schema.ts';
import type { AmphoraDriver } from '../drivers/amphora/amphora.ts';
import { HttpAmphora } from '../drivers/amphora/http.ts';
import { NoopAmphora } from '../drivers/amphora/noop.ts';
import type { CertificateAuthority } from '../drivers/certificates/authority.ts';
import type { AccessLog } from '../drivers/compute/access-log.ts';
import type { Compute } from '../drivers/compute/compute.ts';
import { NamespaceCompute } from '../drivers/compute/namespace.ts';
import { NamespaceLog } from '../drivers/compute/namespace-log.ts';
import { NoopCompute } from '../drivers/compute/noop.ts';
import { BridgeNetwork } from '../drivers/network/bridge.ts';
import { type DefaultNetworks, ensureDefaultNetworks } from '../drivers/network/default-networks.ts';
import type { Network } from '../drivers/network/network.ts';
import { NoopNetwork } from '../drivers/network/noop.ts';
import type { NetworkCloud } from '../drivers/network/store.ts';
import { NoopCloud } from '../drivers/noop-cloud.ts';
import { timestamp } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { addNoopNetworks } from './noop-networks.ts';
import type { Settings } from './settings.ts';

/** What the drivers come to, whichever they are. */
export interface Cloud {
  compute: Compute;
  network: Network;
  amphora: AmphoraDriver;
  managementNetworkId: string;
  /** Where heartbeats are received; undefined where none are sent. */
  heartbeatAddress: string | undefined;
  /** Absent where amphorae keep it out of reach. */
  accessLog?: AccessLog;
}

/** One that is ours alone, and so has networks that users make. */
export interface StandaloneCloud extends Cloud {
  network: Network & NetworkCloud;
  networks: (DefaultNetworks & { bridge: BridgeNetwork }) | undefined;
}

/** Everything in memory; ids and addresses follow from names, so that several processes agree about ports. */
export function openNoopCloud(): StandaloneCloud {
  const cloud = new NoopCloud();
  const network = new NoopNetwork(cloud, addNoopNetworks(cloud));
  return {
    compute: new NoopCompute(cloud),
    network,
    amphora: new NoopAmphora(cloud),
    managementNetworkId: network.managementNetworkId,
    heartbeatAddress: undefined,
    networks: undefined,
  };
}

/** Amphorae and networks of this host. */
export async function openHostCloud(options: {
  settings: Settings;
  db: Db;
  authority: CertificateAuthority;
  dataDir: string;
  systemId: string;
  agentProgram: string;
  log: Log;
}): Promise<StandaloneCloud> {
  const { settings, db, authority, dataDir, systemId, agentProgram, log } = options;
  const store = new NetworkTables(db, () => timestamp(Date.now()));
  const bridge = new BridgeNetwork({ store, systemId, log });
  const { management_cidr, private_cidr, public_cidr } = settings.ottavia;
  const networks = await ensureDefaultNetworks(bridge, systemId, {
    management: management_cidr || undefined,
    private: private_cidr || undefined,
    public: public_cidr || undefined,
  });
  bridge.managementNetworkId = networks.management.network.id;
  await bridge.restore();
  const compute = new NamespaceCompute({ dataDir, systemId, network: bridge, agentProgram, log });
  await compute.restore();
  const { rest_request_conn_timeout, rest_request_read_timeout } = settings.haproxy_amphora;
  return {
    compute,
    network: bridge,
    amphora: new HttpAmphora({
      authority,
      connectTimeoutMs: rest_request_conn_timeout * 1000,
      readTimeoutMs: rest_request_read_timeout * 1000,
    }),
    managementNetworkId: bridge.managementNetworkId,
    heartbeatAddress: settings.health_manager.bind_ip || networks.management.subnet.gateway_ip!,
    accessLog: new NamespaceLog(dataDir),
    networks: { ...networks, bridge },
  };
}
