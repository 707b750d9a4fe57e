/** The VIP's port: there before anything is built on it, gone after everything else. */
import { isDeepStrictEqual } from 'node:util';
import { setVip } from '../../db/load-balancers.ts';
import type { VipAccess } from '../../drivers/network/network.ts';
import { ensureVipPort } from '../../drivers/network/vip-port.ts';
import { TerminalError } from '../../lib/errors.ts';
import type { Listener, ListenerProtocol } from '../../model/listener.ts';
import { vipPortName } from '../../model/load-balancer.ts';
import { isStaying } from '../../model/status.ts';
import { type AmphoraPass, step } from './parts.ts';

/**
 * Who may reach the listeners, before any of them serves. One on its way out stays limited until `releaseAccess`.
 * Source: contract controller.md 11.
 */
export async function ensureAccess(pass: AmphoraPass): Promise<void> {
  await sendAccess(pass, pass.graph.listeners);
}

/** Nothing is said any more of listeners that are gone. */
export async function releaseAccess(pass: AmphoraPass): Promise<void> {
  const staying = pass.graph.listeners.filter(isStaying);
  if (staying.length < pass.graph.listeners.length) await sendAccess(pass, staying);
}

async function sendAccess(pass: AmphoraPass, listeners: readonly Listener[]): Promise<void> {
  const portId = pass.graph.load_balancer.vip_port_id!;
  const access = planAccess(listeners);
  await step(pass, 'ensure access to VIP', portId, () => pass.parts.network.ensureAccess(portId, access));
}

/** In an order of its own; where a listener takes the place of one that is on its way out, its word counts. */
export function planAccess(listeners: readonly Listener[]): VipAccess[] {
  const byPort = new Map<string, VipAccess>();
  for (const listener of listeners.toSorted((a, b) => Number(isStaying(a)) - Number(isStaying(b)))) {
    const protocol = PACKET_PROTOCOL[listener.protocol] ?? 'tcp';
    const { protocol_port: port, allowed_cidrs: cidrs } = listener;
    byPort.set(`${protocol} ${port}`, { protocol, port, cidrs });
  }
  return [...byPort].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, access]) => access);
}

const PACKET_PROTOCOL: Partial<Record<ListenerProtocol, VipAccess['protocol']>> = {
  UDP: 'udp',
  SCTP: 'sctp',
};

/** Ensures the port and completes the VIP's fields in the row and in the pass's graph. */
export async function ensureVip(pass: AmphoraPass): Promise<void> {
  const lb = pass.graph.load_balancer;
  const { network, db } = pass.parts;
  if (!lb.vip_port_owned) {
    const port = lb.vip_port_id ? await network.findPort(lb.vip_port_id) : undefined;
    if (!port)
      throw new TerminalError(
        `Cannot serve load balancer ${lb.id}: its VIP port ${lb.vip_port_id} does not exist any more`,
      );
    return ensureGroups(pass, port.id, lb.vip_sg_ids);
  }
  if (!lb.vip_network_id || !lb.vip_subnet_id)
    throw new TerminalError(`Cannot create the VIP of load balancer ${lb.id}: its row names no subnet`);
  const vip = await step(pass, 'ensure VIP port', lb.id, () => ensureVipPort(network, lb));
  const known = {
    vip_port_id: lb.vip_port_id,
    vip_address: lb.vip_address,
    additional_vips: lb.additional_vips,
  };
  if (!isDeepStrictEqual(vip, known)) {
    await step(pass, 'store VIP', lb.id, () => setVip(db, pass.lease, vip));
    Object.assign(lb, vip);
  }
}

function ensureGroups(pass: AmphoraPass, portId: string, groupIds: readonly string[]): Promise<void> {
  return step(pass, 'ensure security groups of VIP port', portId, () =>
    pass.parts.network.ensureSecurityGroups(portId, groupIds),
  );
}

/** Releases the VIP's port; one that the user brought stays. */
export async function releaseVip(pass: AmphoraPass): Promise<void> {
  const lb = pass.graph.load_balancer;
  if (!lb.vip_port_owned) {
    if (!lb.vip_port_id) return;
    await ensureGroups(pass, lb.vip_port_id, []);
    return sendAccess(pass, []);
  }
  await step(pass, 'release VIP port', lb.id, () => pass.parts.network.deletePort(vipPortName(lb.id)));
}
