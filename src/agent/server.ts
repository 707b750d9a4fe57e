/** The agent's HTTPS server: mutual TLS, bodies whole, JSON in and out. Source: contract amphora-agent.md 2. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server, type ServerOptions } from 'node:https';
import { errorChain } from '../lib/errors.ts';
import type { Paths } from './config.ts';
import type { AgentParts } from './parts.ts';
import { httpError, Refusal, type Reply } from './reply.ts';
import { findRoute } from './routes/table.ts';
import type { Lane } from './wait.ts';

const BODY_LIMIT_BYTES = 32 * 1024 * 1024;

/** Whoever holds a certificate of this authority is the controller; its name is not looked at. */
export function readCredentials(paths: Paths): ServerOptions {
  const pem = readFileSync(paths.serverCertificate);
  return {
    cert: pem,
    key: pem,
    ca: readFileSync(paths.clientCa),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
  };
}

/** Answers requests in `lane`, one change after the other; those that only look do not wait. */
export function createAgentServer(parts: AgentParts, lane: Lane): Server {
  const { config, log } = parts;
  const server = createServer(
    { ...readCredentials(config.paths), requestTimeout: config.requestTimeoutMs },
    (request, response) => {
      const startedAt = performance.now();
      void answer(parts, lane, request).then(reply => {
        send(response, reply);
        const ms = Math.round(performance.now() - startedAt);
        log.info({ method: request.method, path: request.url, status: reply.status, ms }, 'request');
      });
    },
  );
  server.on('tlsClientError', error => log.debug({ reason: error.message }, 'TLS handshake refused'));
  return server;
}

async function answer(parts: AgentParts, lane: Lane, request: IncomingMessage): Promise<Reply> {
  try {
    const method = request.method ?? 'GET';
    const { route, params } = findRoute(method === 'HEAD' ? 'GET' : method, request.url ?? '/');
    const body = await readBody(request);
    const work = async () => route(parts, { params, body });
    return await (method === 'GET' || method === 'HEAD' ? work() : lane.run(work));
  } catch (error) {
    if (error instanceof Refusal) return error.reply;
    parts.log.error({ path: request.url, reason: errorChain(error) }, 'request failed');
    return httpError(500, errorChain(error)).reply;
  }
}

/** Whole, before anything is decoded: a character may lie across two pieces. */
async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_LIMIT_BYTES) throw httpError(413, `A body has at most ${BODY_LIMIT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, reply: Reply): void {
  const isText = typeof reply.body === 'string';
  const body = isText ? (reply.body as string) : JSON.stringify(reply.body);
  response.writeHead(reply.status, {
    'content-type': isText ? 'text/plain; charset=utf-8' : 'application/json',
    'content-length': Buffer.byteLength(body),
    ...(reply.etag === undefined ? {} : { etag: reply.etag }),
  });
  response.end(body);
}
