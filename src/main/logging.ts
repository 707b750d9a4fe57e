/** Where log lines go: JSON for machines, short lines for somebody who watches. */
import { styleText } from 'node:util';
import { type Logger, pino } from 'pino';
import type { Log, LogFields } from '../lib/log.ts';

/** Lines for people when the stream is a terminal, else one JSON object per line; `base` is in each of these. */
export function openLog(
  stream: NodeJS.WriteStream & { fd: number },
  debug: boolean,
  base: LogFields | null = null,
): Log {
  if (stream.isTTY) return new LineLog(stream, debug);
  const options = { level: debug ? 'debug' : 'info', base, timestamp: pino.stdTimeFunctions.isoTime };
  const logger: Logger = pino(options, pino.destination({ dest: stream.fd, sync: true }));
  return logger;
}

class LineLog implements Log {
  readonly #stream: NodeJS.WriteStream;
  readonly #debug: boolean;

  constructor(stream: NodeJS.WriteStream, debug: boolean) {
    this.#stream = stream;
    this.#debug = debug;
  }

  debug(fields: LogFields, message: string): void {
    if (this.#debug) this.#write('gray', fields, message);
  }
  info(fields: LogFields, message: string): void {
    this.#write('green', fields, message);
  }
  warn(fields: LogFields, message: string): void {
    this.#write('yellow', fields, message);
  }
  error(fields: LogFields, message: string): void {
    this.#write('red', fields, message);
  }

  #write(colour: 'gray' | 'green' | 'yellow' | 'red', fields: LogFields, message: string): void {
    const time = new Date().toTimeString().slice(0, 8);
    const rest = Object.entries(fields)
      .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
      .join(' ');
    const stream = this.#stream;
    stream.write(
      `${time} ${styleText(colour, message, { stream })}${rest && `  ${styleText('dim', rest, { stream })}`}\n`,
    );
  }
}
