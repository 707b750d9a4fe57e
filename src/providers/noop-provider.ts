/** A provider without effects: every load balancer is at once as it was wished. */
import { LISTENER_PROTOCOLS } from '../model/listener.ts';
import { POOL_PROTOCOLS } from '../model/pool.ts';
import type { PassResult, Provider } from './provider.ts';

export class NoopProvider implements Provider {
  readonly name: string;
  readonly description = 'Accepts everything and does nothing.';
  readonly supports: Provider['supports'] = {
    lb_algorithm: () => true,
    listener_protocols: LISTENER_PROTOCOLS,
    pool_protocols: POOL_PROTOCOLS,
    pool_tls: true,
    allowed_cidrs: true,
    l7: true,
    flavor_capabilities: [{ name: 'amp_image_tag', description: 'Has no effect.', value: 'text' }],
    availability_zone_capabilities: [{ name: 'compute_zone', description: 'Has no effect.', value: 'text' }],
  };

  /** Octavia's own provider of the kind is named `noop_driver`. */
  constructor(name = 'noop') {
    this.name = name;
  }

  async reconcile(): Promise<PassResult> {
    return { done: true };
  }

  async remove(): Promise<PassResult> {
    return { done: true };
  }
}
