/** One question to one of haproxy's control sockets. */
import { connect } from 'node:net';

const ANSWER_LIMIT_BYTES = 64 * 1024 * 1024;

/**
 * The whole answer without its closing line breaks. Throws when there is none within the time. No message tells of the payload,
 * which may hold a private key.
 */
export function ask(
  socketPath: string,
  command: string,
  timeoutMs = 5_000,
  payload?: string,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const socket = connect(socketPath);
    const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    socket.on('data', chunk => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > ANSWER_LIMIT_BYTES) socket.destroy(new Error('the answer is too long'));
    });
    socket.on('error', cause => {
      clearTimeout(timer);
      reject(new Error(`Cannot ask haproxy "${command}" over ${socketPath}`, { cause }));
    });
    socket.on('close', hadError => {
      clearTimeout(timer);
      if (!hadError) resolve(Buffer.concat(chunks).toString('utf8').trim());
    });
    // The master's socket stays open for more questions unless our side is closed.
    socket.end(payload === undefined ? `${command}\n` : `${command} <<\n${payload}\n\n`);
  });
}
