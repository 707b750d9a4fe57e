import { expect, test } from 'vitest';
import type { Listener } from '../../model/listener.ts';
import { planAccess } from './vip.ts';

const listener = (
  protocol: Listener['protocol'],
  protocol_port: number,
  allowed_cidrs: string[] | null,
  provisioning_status = 'ACTIVE',
) => ({ protocol, protocol_port, allowed_cidrs, provisioning_status }) as Listener;

test('every listener says who may reach it, in an order of its own', () => {
  const listeners = [
    listener('UDP', 53, null),
    listener('TERMINATED_HTTPS', 443, ['192.0.2.0/24']),
    listener('SCTP', 443, []),
  ];
  const planned = planAccess(listeners);
  expect(planned).toEqual([
    { protocol: 'sctp', port: 443, cidrs: [] },
    { protocol: 'tcp', port: 443, cidrs: ['192.0.2.0/24'] },
    { protocol: 'udp', port: 53, cidrs: null },
  ]);
  expect(planAccess(listeners.toReversed())).toEqual(planned);
});

test('a listener on its way out is limited as it was, unless another one has its port', () => {
  const leaving = listener('TCP', 80, ['192.0.2.0/24'], 'PENDING_DELETE');
  expect(planAccess([leaving])).toEqual([{ protocol: 'tcp', port: 80, cidrs: ['192.0.2.0/24'] }]);
  const heir = listener('HTTP', 80, null, 'PENDING_CREATE');
  expect(planAccess([heir, leaving])).toEqual([{ protocol: 'tcp', port: 80, cidrs: null }]);
});
