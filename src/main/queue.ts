/** The brokers that the settings name: for nudges, and for those who want to be notified. */
import { readFileSync } from 'node:fs';
import type { Log } from '../lib/log.ts';
import { InProcessQueue } from '../queue/in-process.ts';
import type { Queue } from '../queue/queue.ts';
import type { BrokerOptions } from '../queue/rabbitmq.ts';
import { parseTransportUrl } from '../queue/transport-url.ts';
import type { Settings } from './settings.ts';

/** Without a `transport_url` nobody else is nudged: workers find by their sweeps what there is to do. */
export async function openQueue(settings: Settings, started: AsyncDisposableStack, log: Log): Promise<Queue> {
  const url = settings.DEFAULT.transport_url.reveal();
  if (url === '') return new InProcessQueue();
  // Loaded late: most systems on one machine have no broker.
  const { RabbitQueue } = await import('../queue/rabbitmq.ts');
  const name = `${settings.oslo_messaging.topic ?? 'ottavia'}.nudges`;
  const queue = await RabbitQueue.open(name, brokerOptionsOf(settings, url, log));
  started.defer(() => queue.close());
  return queue;
}

/** Throws when the URL or the file of authorities cannot be used. */
export function brokerOptionsOf(
  { oslo_messaging_rabbit: rabbit }: Settings,
  url: string,
  log: Log,
): BrokerOptions {
  const { query, ...address } = parseTransportUrl(url);
  const isTls = query.has('ssl') ? /^(1|true|yes|on)$/i.test(query.get('ssl')!) : rabbit.ssl;
  const caFile = query.get('ssl_ca_file') ?? rabbit.ssl_ca_file;
  const ca = caFile === null ? undefined : readFileSync(caFile);
  const heartbeatSeconds = rabbit.heartbeat_timeout_threshold;
  return { ...address, tls: isTls ? { ca } : undefined, heartbeatSeconds, log };
}

export const wantsNotifications = (settings: Settings): boolean =>
  settings.controller_worker.event_notifications && settings.oslo_messaging_notifications.driver !== 'noop';

/** What is wrong with the URLs, which themselves are not told: there are passwords in them. */
export function findBrokerProblems(settings: Settings): string[] {
  const urls = {
    '[DEFAULT] transport_url': settings.DEFAULT.transport_url,
    '[oslo_messaging_notifications] transport_url': settings.oslo_messaging_notifications.transport_url,
  };
  if (wantsNotifications(settings) && Object.values(urls).every(url => url.reveal() === ''))
    return ['Cannot send notifications: set [DEFAULT] transport_url to a RabbitMQ'];
  return Object.entries(urls).flatMap(([option, url]) => {
    if (url.reveal() === '') return [];
    try {
      parseTransportUrl(url.reveal());
      return [];
    } catch (error) {
      return [`Cannot use ${option}: ${(error as Error).message}`];
    }
  });
}
