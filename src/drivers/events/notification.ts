/** Events as the notifications that OpenStack's services send each other: oslo.messaging's envelope, Octavia's names. */
import type { StatusEvent } from '../../model/status-event.ts';
import type { EventTarget } from './event-target.ts';

/** What becomes of queues when the broker ends. */
export type QueueKind = 'transient' | 'durable' | 'quorum';

/** What carries messages; it returns when they are safe. */
export interface MessagePublisher {
  publish(
    message: { exchange: string; key: string; body: string; kind: QueueKind },
    signal: AbortSignal,
  ): Promise<void>;
  close(): Promise<void>;
}

export interface NotificationOptions {
  publisher: MessagePublisher;
  exchange: string;
  topics: readonly string[];
  kind: QueueKind;
  /** Format 2.0, as the driver messagingv2 sends it; else 1.0. */
  isEnveloped: boolean;
  /** Such as `octavia.host`. */
  publisherId: string;
}

export class Notifications implements EventTarget {
  static readonly target = 'notifications';
  readonly name = Notifications.target;
  readonly #options: NotificationOptions;

  constructor(options: NotificationOptions) {
    this.#options = options;
  }

  async publish(body: string, signal: AbortSignal): Promise<void> {
    const { publisher, exchange, topics, kind, isEnveloped, publisherId } = this.#options;
    const event = JSON.parse(body) as StatusEvent;
    const message = renderNotification(event, publisherId);
    const text = JSON.stringify(message);
    const envelope = { 'oslo.version': '2.0', 'oslo.message': text };
    for (const topic of topics) {
      const key = `${topic}.${message.priority.toLowerCase()}`;
      const sent = isEnveloped ? JSON.stringify(envelope) : text;
      await publisher.publish({ exchange, key, body: sent, kind }, signal);
    }
  }

  async close(): Promise<void> {
    await this.#options.publisher.close();
  }
}

/**
 * The names of Octavia for what Octavia notifies of; of everything else under names of the same form. A listener of oslo.messaging
 * drops what comes twice by `_unique_id`. Source: contract controller.md 14 and 2; oslo.messaging, Notifier and MessagingV2Driver.
 */
export function renderNotification(event: StatusEvent, publisher_id: string) {
  const { id, time, load_balancer, ...rest } = event;
  const isError = event.provisioning_status === 'ERROR';
  return {
    message_id: id,
    publisher_id,
    event_type: eventTypeOf(event),
    priority: isError ? 'ERROR' : 'INFO',
    payload: { ...load_balancer, ...rest },
    timestamp: time.replace('T', ' '),
    _unique_id: id.replaceAll('-', ''),
    _context_project_id: event.project_id,
    _context_tenant: event.project_id,
  } as const;
}

/** The phase that a status stands for; what is ERROR or ACTIVE is the end of what was PENDING before. */
const PHASES: Record<string, string> = {
  PENDING_CREATE: 'create.start',
  PENDING_UPDATE: 'update.start',
  PENDING_DELETE: 'delete.start',
  DELETED: 'delete.end',
};

export function eventTypeOf({ resource_type, provisioning_status: now, previous }: StatusEvent): string {
  const before = previous?.provisioning_status;
  if (before === now) return `octavia.${resource_type}.status.update`;
  const verb = /^PENDING_(CREATE|DELETE)$/.exec(before ?? '')?.[1]?.toLowerCase() ?? 'update';
  return `octavia.${resource_type}.${PHASES[now] ?? `${verb}.${now === 'ERROR' ? 'error' : 'end'}`}`;
}
