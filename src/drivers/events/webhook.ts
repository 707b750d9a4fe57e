/** Events to a URL of the operator's: one signed POST each. */
import { createHash, createHmac } from 'node:crypto';
import { Agent, request } from 'undici';
import type { Clock } from '../../lib/clock.ts';
import type { Secret } from '../../lib/secret.ts';
import type { EventTarget } from './event-target.ts';

export interface WebhookOptions {
  /** Secret, because many services keep their token in it. */
  url: Secret;
  secret: Secret;
  timeoutMs: number;
  clock: Clock;
}

/** No answer is worth more. */
const ANSWER_BYTES = 64 * 1024;

/**
 * The URL is in the operator's configuration and never a tenant's, so that it may lead to a private address. Where it leads is for the
 * operator alone to say: redirects are not followed.
 */
export class Webhook implements EventTarget {
  readonly name: string;
  readonly #options: WebhookOptions;
  readonly #agent: Agent;

  constructor(options: WebhookOptions) {
    const url = options.url.reveal();
    this.#options = options;
    this.name = `webhook-${createHash('sha256').update(url).digest('hex').slice(0, 16)}`;
    this.#agent = new Agent({ connect: { timeout: options.timeoutMs } });
  }

  async publish(body: string, signal: AbortSignal): Promise<void> {
    const { url, secret, timeoutMs, clock } = this.#options;
    const target = new URL(url.reveal());
    try {
      const answer = await request(target, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'ottavia',
          ...signatureOf(body, secret, clock.now()),
        },
        body,
        dispatcher: this.#agent,
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      await answer.body.dump({ limit: ANSWER_BYTES });
      if (answer.statusCode < 200 || answer.statusCode > 299)
        throw new Error(`it answered ${answer.statusCode}`);
    } catch (cause) {
      throw new Error(`Cannot deliver an event to ${this.name} at ${target.host}`, { cause });
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

/**
 * The time is part of what is signed, so that a receiver can refuse what is old: it compares
 * `HMAC-SHA256(secret, timestamp + '.' + body)`.
 */
function signatureOf(body: string, secret: Secret, nowMs: number): Record<string, string> {
  const timestamp = String(Math.floor(nowMs / 1000));
  const signature = createHmac('sha256', secret.reveal()).update(`${timestamp}.${body}`).digest('hex');
  return { 'x-ottavia-timestamp': timestamp, 'x-ottavia-signature': `sha256=${signature}` };
}
