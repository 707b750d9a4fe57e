/** The cloud under the Python controller: our compute and network drivers, behind the seams that interop_cloud.py fills. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { NamespaceCompute } from '../../src/drivers/compute/namespace.ts';
import type { BridgeNetwork } from '../../src/drivers/network/bridge.ts';
import type { Port, PortSpec } from '../../src/drivers/network/network.ts';
import { errorChain } from '../../src/lib/errors.ts';

const instance = (computeId: string) => `amphora-${computeId}`;
/** What Octavia's model of a port has. */
const portOf = ({ id, name, network_id, mac_address, fixed_ips, device_id }: Port) => {
  return { id, name, network_id, mac_address, fixed_ips, device_id };
};

export class PythonCloud implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  static async open(
    compute: NamespaceCompute,
    network: BridgeNetwork,
    managementNetworkId: string,
  ): Promise<PythonCloud> {
    const port = async (id: string) => (await network.findPort(id))!;
    const verbs: Record<string, (...args: never[]) => Promise<unknown>> = {
      build: (name: string, files: Record<string, string>) =>
        compute.ensureInstance({
          ...{ name, networks: [managementNetworkId] },
          files: Object.entries(files).map(([path, content]) => ({ path, content, mode: 0o600 })),
        }),
      instance: async (id: string) => {
        const { status, lb_network_ip } = (await compute.findInstance(instance(id)))!;
        return { status, lb_network_ip };
      },
      // With the ports that were made for it, as Nova does.
      delete: async (id: string) => {
        await compute.deleteInstance(instance(id));
        const own = (await network.listPortNames()).filter(name => name.startsWith(`member-${id}-`));
        for (const name of own) await network.deletePort(name);
      },
      attach: (id: string, portId: string) => compute.attachPort(instance(id), portId),
      detach: (id: string, portId: string) => compute.detachPort(instance(id), portId),
      plugged: async (id: string) => {
        const found = await compute.findInstance(instance(id));
        return found ? (await network.listPortsOf(found.compute_id)).map(portOf) : [];
      },
      network: async (id: string) => {
        const { name, mtu, subnets } = (await network.findNetwork(id))!;
        return { id, name, mtu, subnets };
      },
      subnet: async (id: string) => {
        const { name, network_id, ip_version, cidr, gateway_ip, host_routes } = (await network.findSubnet(
          id,
        ))!;
        return { id, name, network_id, ip_version, cidr, gateway_ip, host_routes };
      },
      port: async (id: string) => portOf(await port(id)),
      create: async (spec: PortSpec) => portOf(await network.ensurePort(spec)),
      forget: async (id: string) => {
        const found = await network.findPort(id);
        if (found) await network.deletePort(found.name);
      },
    };
    const server = createServer(async (request, response) => {
      try {
        const verb = verbs[request.url!.slice(1)]!;
        const result = await verb(...(JSON.parse(await text(request)) as never[]));
        response.end(JSON.stringify(result ?? null));
      } catch (error) {
        // The one who asked is told, and Octavia decides what it means.
        response.writeHead(500).end(errorChain(error));
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new PythonCloud(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}
