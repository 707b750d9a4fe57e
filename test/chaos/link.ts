/** Calls over a Unix socket, one JSON text on each line: how programs under test reach the cloud that outlives them. */
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { Fault, type FaultKind, TerminalError } from '../../src/lib/errors.ts';
import { Secret } from '../../src/lib/secret.ts';

export interface Call {
  /** Such as `network.ensurePort`. */
  name: string;
  parameters: unknown[];
  /** Under which lease, where there is one. */
  lease?: { loadbalancer_id: string; owner: string; fence: number } | undefined;
}

type Answer = { id: number; result?: unknown; error?: { name: string; kind?: FaultKind; message: string } };

const CALL_LIMIT_MS = 5000;

/** Calls back for each whole line; what a program that was killed had begun to say is nothing. */
export function onLines(stream: Readable, callback: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) callback(line);
  });
}

/** Secrets travel as they are. */
function encode(value: unknown): string {
  return `${JSON.stringify(value, function (this: Record<string, unknown>, key, flat) {
    const own = this[key];
    return own instanceof Secret ? { $secret: own.reveal() } : flat;
  })}\n`;
}

function decode<T>(line: string): T {
  return JSON.parse(line, (_, value) =>
    typeof value?.$secret === 'string' ? new Secret(value.$secret) : value,
  );
}

/** The side of a program. */
export class CloudLink {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #calls = 0;

  /** `told` is given what the other side says by itself. */
  constructor(path: string, program: string, told: (message: Record<string, number>) => void) {
    this.#socket = createConnection(path);
    this.#socket.on('error', () => {}); // Closed follows.
    // Whoever made the cloud is gone, and this program with it.
    this.#socket.on('close', () => process.exit(3));
    onLines(this.#socket, line => {
      const message = decode<Answer & { told?: Record<string, number> }>(line);
      if (message.told) return told(message.told);
      const call = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error) call?.reject(revive(message.error));
      else call?.resolve(message.result);
    });
    this.#socket.write(encode({ program }));
  }

  tell(what: string): void {
    this.#socket.write(encode({ tell: what }));
  }

  call(call: Call): Promise<unknown> {
    const id = ++this.#calls;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    while (call.parameters.length > 0 && call.parameters.at(-1) === undefined) call.parameters.pop();
    this.#socket.write(encode({ id, ...call }));
    const limit = setTimeout(() => {
      this.#waiting.delete(id);
      answer.reject(new Error(`${call.name} took longer than ${CALL_LIMIT_MS} ms`));
    }, CALL_LIMIT_MS);
    return answer.promise.finally(() => clearTimeout(limit));
  }
}

function revive({ name, kind, message }: NonNullable<Answer['error']>): Error {
  if (kind) return new Fault(kind, message);
  return name === 'TerminalError' ? new TerminalError(message) : new Error(message);
}

export interface CloudServer {
  answer(program: string, call: Call): Promise<unknown>;
  /** What a program says by itself. */
  hear(program: string, what: string): void;
}

/** The side of the cloud; returns how to tell a program something. */
export async function serveCloud(
  path: string,
  cloud: CloudServer,
): Promise<{ server: Server; tell(program: string, message: Record<string, number>): void; end(): void }> {
  const sockets = new Map<string, Socket>();
  const server = createServer(socket => {
    let program = '';
    socket.on('error', () => {}); // A program that was killed.
    onLines(socket, line => {
      const message = decode<Call & { id: number; program?: string; tell?: string }>(line);
      if (message.program) {
        program = message.program;
        sockets.set(program, socket);
        return;
      }
      if (message.tell) return cloud.hear(program, message.tell);
      cloud.answer(program, message).then(
        result => socket.writable && socket.write(encode({ id: message.id, result })),
        (error: Error & { kind?: FaultKind }) =>
          socket.writable &&
          socket.write(
            encode({
              id: message.id,
              error: { name: error.name, kind: error.kind, message: error.message },
            }),
          ),
      );
    });
  });
  await new Promise<void>(resolve => server.listen(path, resolve));
  return {
    server,
    tell: (program, message) => void sockets.get(program)?.write(encode({ told: message })),
    end() {
      server.close();
      for (const socket of sockets.values()) socket.destroy();
    },
  };
}
