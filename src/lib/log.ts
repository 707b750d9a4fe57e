/** One line per event: a constant message and fields. */

export type LogFields = Record<string, unknown>;

/** What every room logs through; pino satisfies it, and a test passes `silentLog`. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
