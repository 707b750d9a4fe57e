/** A provider without effects: every load balancer is at once as it was wished. */
import { LISTENER_PROTOCOLS } from '../model/listener.ts';
import { LB_ALGORITHMS, POOL_PROTOCOLS } from '../model/pool.ts';
import type { PassResult, Provider } from './provider.ts';

export class NoopProvider implements Provider {
  readonly name = 'noop';
  readonly description = 'Accepts everything and does nothing.';
  readonly supports = {
    lb_algorithms: LB_ALGORITHMS,
    listener_protocols: LISTENER_PROTOCOLS,
    pool_protocols: POOL_PROTOCOLS,
    pool_tls: true,
    allowed_cidrs: true,
    flavor_capabilities: [],
    availability_zone_capabilities: [],
  };

  async reconcile(): Promise<PassResult> {
    return { done: true };
  }

  async remove(): Promise<PassResult> {
    return { done: true };
  }
}
