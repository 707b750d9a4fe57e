/** One HTTP request with a time limit; the built-in fetch would refuse ports that browsers may not use, and foreign CAs. */
import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { CliError } from './cli-error.ts';

export interface HttpAnswer {
  status: number;
  headers: IncomingMessage['headers'];
  text: string;
}

/** How a server's certificate is checked. */
export interface Tls {
  /** A file of CAs; the system's own when undefined. */
  caFile: string | undefined;
  verify: boolean;
}

const TIMEOUT_MS = 60_000;

export interface ExchangeOptions {
  headers: Record<string, string>;
  body?: unknown;
  tls: Tls;
  /** For all of it; with `onText`, for each piece. */
  timeoutMs?: number | undefined;
  /** Is given a successful answer piece by piece as it comes. */
  onText?: ((text: string) => void) | undefined;
}

export async function exchange(method: string, url: string, options: ExchangeOptions): Promise<HttpAnswer> {
  const { tls, timeoutMs = TIMEOUT_MS } = options;
  const body = options.body === undefined ? undefined : JSON.stringify(options.body);
  const headers: Record<string, string> = { accept: 'application/json', ...options.headers };
  if (body !== undefined) headers['content-type'] = 'application/json';
  try {
    const start = url.startsWith('https:') ? httpsRequest : httpRequest;
    const ca = tls.caFile === undefined ? {} : { ca: readFileSync(tls.caFile) };
    return await new Promise((resolve, reject) => {
      const late = new AbortController();
      const timer = setTimeout(() => late.abort(), timeoutMs);
      const { signal } = late;
      const sent = start(
        url,
        { method, headers, signal, rejectUnauthorized: tls.verify, ...ca },
        response => {
          const status = response.statusCode!;
          const onText = status < 400 ? options.onText : undefined;
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (piece: string) => {
            if (onText) timer.refresh();
            if (onText) onText(piece);
            else text += piece;
          });
          response.on('error', reject);
          response.on('end', () => resolve({ status, headers: response.headers, text }));
        },
      );
      sent.on('error', reject);
      sent.on('close', () => clearTimeout(timer));
      sent.end(body);
    });
  } catch (cause) {
    const { name, message, code } = cause as NodeJS.ErrnoException;
    const reason =
      name === 'TimeoutError' || code === 'ABORT_ERR'
        ? `no answer within ${timeoutMs / 1000} s`
        : message || code;
    throw new CliError(`Cannot reach ${originOf(url)}: ${reason}. Does the system run?`, { cause });
  }
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : url;
}
