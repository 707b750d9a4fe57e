/** The webhooks of the settings, and what delivers events to them. */

import { enableEvents } from '../db/events.ts';
import type { Db } from '../db/schema.ts';
import { Webhook } from '../drivers/events/webhook.ts';
import { EventDelivery } from '../housekeeping/event-delivery.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { Secret } from '../lib/secret.ts';
import type { Settings } from './settings.ts';
import { webhookUrlsOf } from './start-checks.ts';

/** Begins to announce and to deliver; no cost where nobody wants to be told. */
export async function startWebhooks(
  settings: Settings,
  started: AsyncDisposableStack,
  parts: { db: Db; clock: Clock; log: Log },
): Promise<void> {
  const { webhook_secret: secret, webhook_timeout } = settings.ottavia;
  const options = { secret, timeoutMs: webhook_timeout * 1000, clock: parts.clock };
  const targets = webhookUrlsOf(settings).map(url => new Webhook({ ...options, url: new Secret(url) }));
  if (targets.length === 0) return;
  await enableEvents(
    parts.db,
    targets.map(({ name }) => name),
  );
  const delivery = new EventDelivery({ ...parts, targets, pollMs: 250 });
  delivery.start();
  started.defer(() => delivery.stop());
}
