/** Whom the settings want told of changed statuses, and what delivers events to them. */

import { hostname } from 'node:os';
import { enableEvents } from '../db/events.ts';
import type { EventTarget } from '../drivers/events/event-target.ts';
import { Notifications } from '../drivers/events/notification.ts';
import { Webhook } from '../drivers/events/webhook.ts';
import { EventDelivery } from '../housekeeping/event-delivery.ts';
import { Secret } from '../lib/secret.ts';
import type { Parts } from './parts.ts';
import { brokerOptionsOf, wantsNotifications } from './queue.ts';
import { webhookUrlsOf } from './start-checks.ts';

/**
 * Begins to announce, which every program does that may change a status, and to deliver, which one kind of program does for all. No
 * cost where nobody wants to be told.
 */
export async function startEvents(parts: Parts, { deliver }: { deliver: boolean }): Promise<void> {
  const { db, clock, log, started } = parts;
  const webhooks = openWebhooks(parts);
  const isNotifying = wantsNotifications(parts.settings);
  const names = [...webhooks.map(({ name }) => name), ...(isNotifying ? [Notifications.target] : [])];
  if (names.length === 0) return;
  await enableEvents(db, names);
  if (!deliver) return;
  const targets: EventTarget[] = [...webhooks, ...(isNotifying ? [await openNotifications(parts)] : [])];
  const delivery = new EventDelivery({ db, clock, log, targets, pollMs: 250 });
  delivery.start();
  started.defer(() => delivery.stop());
}

function openWebhooks({ settings, clock }: Parts): Webhook[] {
  const { webhook_secret: secret, webhook_timeout } = settings.ottavia;
  const options = { secret, timeoutMs: webhook_timeout * 1000, clock };
  return webhookUrlsOf(settings).map(url => new Webhook({ ...options, url: new Secret(url) }));
}

async function openNotifications({ settings, log }: Parts): Promise<Notifications> {
  const { driver, topics, transport_url } = settings.oslo_messaging_notifications;
  const { amqp_durable_queues, rabbit_quorum_queue } = settings.oslo_messaging_rabbit;
  const { RabbitPublisher } = await import('../queue/rabbitmq.ts');
  const url = transport_url.reveal() || settings.DEFAULT.transport_url.reveal();
  return new Notifications({
    publisher: await RabbitPublisher.open(brokerOptionsOf(settings, url, log)),
    exchange: settings.DEFAULT.control_exchange,
    topics,
    kind: rabbit_quorum_queue ? 'quorum' : amqp_durable_queues ? 'durable' : 'transient',
    isEnveloped: driver === 'messagingv2',
    publisherId: `octavia.${hostname()}`,
  });
}
