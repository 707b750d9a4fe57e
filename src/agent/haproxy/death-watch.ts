/** Learns at once that a haproxy ended: the kernel closes what was open to it. */
import { connect, type Socket } from 'node:net';

export class DeathWatch {
  readonly #open = new Map<string, Socket>();
  readonly #onEnd: () => void;

  /** `onEnd` is called whenever a process that was watched closed its socket, which a reload does as well. */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  /** Has a connection to each of these sockets that somebody listens on. */
  watch(socketPaths: readonly string[]): void {
    for (const path of socketPaths.filter(each => !this.#open.has(each))) {
      let stood = false;
      const socket = connect(path, () => {
        stood = true;
      });
      this.#open.set(path, socket);
      socket.resume();
      // Nobody listens: 'close' follows, and the next look tries again.
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#open.delete(path);
        if (stood) this.#onEnd();
      });
    }
  }

  close(): void {
    for (const socket of this.#open.values()) socket.removeAllListeners('close').destroy();
    this.#open.clear();
  }
}
