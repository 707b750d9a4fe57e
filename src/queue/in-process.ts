/** The queue of a system in one process: a function call, made after the notifier's own turn ends. */
import { EventEmitter } from 'node:events';
import type { Queue } from './queue.ts';

export class InProcessQueue implements Queue {
  readonly #events = new EventEmitter();

  async notify(loadBalancerId: string): Promise<void> {
    setImmediate(() => this.#events.emit('nudge', loadBalancerId));
  }

  consume(callback: (loadBalancerId: string) => void): () => void {
    this.#events.on('nudge', callback);
    return () => this.#events.off('nudge', callback);
  }
}
