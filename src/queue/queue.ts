/** Nudges: "look at this load balancer". Any of them may be lost, doubled or late; the rows are the truth. */

export interface Queue {
  /** Returns when the nudge is handed over; never throws, because a lost nudge costs one sweep, not data. */
  notify(loadBalancerId: string): Promise<void>;
  /** Calls back for each nudge until the returned function is called. */
  consume(callback: (loadBalancerId: string) => void): () => void;
}
