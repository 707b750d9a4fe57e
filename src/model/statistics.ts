/** The five counters that listeners and load balancers report. */

export interface Statistics {
  bytes_in: number;
  bytes_out: number;
  active_connections: number;
  total_connections: number;
  request_errors: number;
}

/** The counters of one listener on one amphora. */
export interface ListenerStatistics extends Statistics {
  listener_id: string;
  amphora_id: string;
}
