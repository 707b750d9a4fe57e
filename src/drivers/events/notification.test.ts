import { expect, test } from 'vitest';
import type { ProvisioningStatus } from '../../model/status.ts';
import type { StatusEvent } from '../../model/status-event.ts';
import { eventTypeOf, Notifications } from './notification.ts';

function givenEvent(before: ProvisioningStatus | undefined, now: ProvisioningStatus): StatusEvent {
  return {
    ...{ id: '11111111-2222-4333-8444-555555555555', time: '2026-11-22T10:00:00.123000', sequence: 7 },
    ...{
      loadbalancer_id: 'lb',
      project_id: 'p',
      resource_type: 'loadbalancer',
      resource_id: 'lb',
      name: 'n',
    },
    ...{ provisioning_status: now, operating_status: 'ONLINE', error_reason: null, load_balancer: null },
    previous: before ? { provisioning_status: before, operating_status: 'OFFLINE' } : null,
  };
}

test.each<[ProvisioningStatus | undefined, ProvisioningStatus, string]>([
  [undefined, 'PENDING_CREATE', 'loadbalancer.create.start'],
  ['PENDING_CREATE', 'ACTIVE', 'loadbalancer.create.end'],
  ['PENDING_CREATE', 'ERROR', 'loadbalancer.create.error'],
  ['ACTIVE', 'PENDING_UPDATE', 'loadbalancer.update.start'],
  ['PENDING_UPDATE', 'ACTIVE', 'loadbalancer.update.end'],
  ['PENDING_UPDATE', 'ERROR', 'loadbalancer.update.error'],
  ['ERROR', 'ACTIVE', 'loadbalancer.update.end'],
  ['ERROR', 'PENDING_DELETE', 'loadbalancer.delete.start'],
  ['PENDING_DELETE', 'ERROR', 'loadbalancer.delete.error'],
  ['PENDING_DELETE', 'DELETED', 'loadbalancer.delete.end'],
  ['PENDING_CREATE', 'DELETED', 'loadbalancer.delete.end'],
  ['ACTIVE', 'ACTIVE', 'loadbalancer.status.update'],
])('a load balancer from %s to %s is octavia.%s', (before, now, type) => {
  expect(eventTypeOf(givenEvent(before, now))).toBe(`octavia.${type}`);
});

test('what is under a load balancer has types of the same form', () => {
  const event = { ...givenEvent('PENDING_CREATE', 'ACTIVE'), resource_type: 'member' } as const;
  expect(eventTypeOf(event)).toBe('octavia.member.create.end');
});

test.each([true, false])(
  'goes to each topic under its priority, in an envelope or without one (%s)',
  async isEnveloped => {
    const sent: { key: string; body: string }[] = [];
    const publisher = {
      publish: async (message: { key: string; body: string }) => void sent.push(message),
      close: async () => {},
    };
    const options = {
      exchange: 'octavia',
      topics: ['a', 'b'],
      kind: 'transient' as const,
      publisherId: 'octavia.h',
    };
    const target = new Notifications({ publisher, isEnveloped, ...options });
    await target.publish(JSON.stringify(givenEvent('PENDING_UPDATE', 'ERROR')), new AbortController().signal);
    expect(sent.map(({ key }) => key)).toEqual(['a.error', 'b.error']);
    const outer = JSON.parse(sent[0]!.body);
    if (isEnveloped) expect(outer['oslo.version']).toBe('2.0');
    const message = isEnveloped ? JSON.parse(outer['oslo.message']) : outer;
    expect(message).toMatchObject({
      ...{ message_id: '11111111-2222-4333-8444-555555555555', priority: 'ERROR', publisher_id: 'octavia.h' },
      ...{ timestamp: '2026-11-22 10:00:00.123000', _unique_id: '11111111222243338444555555555555' },
      payload: { loadbalancer_id: 'lb', sequence: 7, previous: { operating_status: 'OFFLINE' } },
    });
  },
);
