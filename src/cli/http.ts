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

export async function exchange(
  method: string,
  url: string,
  options: { headers: Record<string, string>; body?: unknown; tls: Tls; timeoutMs?: number | undefined },
): Promise<HttpAnswer> {
  const { tls, timeoutMs = TIMEOUT_MS } = options;
  const body = options.body === undefined ? undefined : JSON.stringify(options.body);
  const headers: Record<string, string> = { accept: 'application/json', ...options.headers };
  if (body !== undefined) headers['content-type'] = 'application/json';
  try {
    const start = url.startsWith('https:') ? httpsRequest : httpRequest;
    const ca = tls.caFile === undefined ? {} : { ca: readFileSync(tls.caFile) };
    return await new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(timeoutMs);
      const sent = start(
        url,
        { method, headers, signal, rejectUnauthorized: tls.verify, ...ca },
        response => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () =>
            resolve({
              status: response.statusCode!,
              headers: response.headers,
              text: Buffer.concat(chunks).toString('utf8'),
            }),
          );
        },
      );
      sent.on('error', reject);
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
