/** The seam to whoever wants to be told of changed statuses. */

export interface EventTarget {
  /** What the outbox knows it by: the same after a restart, and without anything secret. At most 64 characters. */
  readonly name: string;
  /**
   * `body` is a `StatusEvent` as JSON. Returns when the target has it; throws when it may not have it, and then is called again,
   * so that a target may get an event twice.
   */
  publish(body: string, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
