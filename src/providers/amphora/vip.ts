/** The VIP's port: there before anything is built on it, gone after everything else. */
import { isDeepStrictEqual } from 'node:util';
import { setVip } from '../../db/load-balancers.ts';
import { ensureVipPort } from '../../drivers/network/vip-port.ts';
import { TerminalError } from '../../lib/errors.ts';
import { vipPortName } from '../../model/load-balancer.ts';
import { type AmphoraPass, step } from './parts.ts';

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
  if (!lb.vip_port_owned) return lb.vip_port_id ? ensureGroups(pass, lb.vip_port_id, []) : undefined;
  await step(pass, 'release VIP port', lb.id, () => pass.parts.network.deletePort(vipPortName(lb.id)));
}
