/** The seam to what amphorae log about connections, for clouds whose amphorae keep it within reach. */

export interface LogLine {
  /** Naive UTC with microseconds, as the API prints times. */
  time: string;
  /** As haproxy wrote it. */
  text: string;
}

/** Where reading goes on; only the log that gave it knows what it means. */
export interface LogPosition {
  file: string;
  offset: number;
}

/** Before the first line. */
export const LOG_START: LogPosition = { file: '', offset: 0 };

export interface AccessLog {
  /**
   * The newest `limit` lines of an instance, or all behind a position but not more than fit in one read; the oldest first.
   * None when the instance is gone, or its lines are: old ones make room for new ones, and go with the instance.
   */
  read(
    instanceName: string,
    from: { limit: number } | { after: LogPosition },
  ): Promise<{ lines: LogLine[]; position: LogPosition }>;
}
