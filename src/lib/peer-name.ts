/** The name under which an amphora's haproxy knows itself among its peers: rendered by one side, told to haproxy by the other. */
import { createHash } from 'node:crypto';

/**
 * What the peers section calls the amphora, and what its agent passes to `haproxy -L`.
 * `+` and `/` are swapped against URL-safe base64 and a leading `-` becomes `x`. Source: contract amphora-agent.md 5.2.
 */
export function peerName(amphoraId: string): string {
  return createHash('sha1')
    .update(amphoraId)
    .digest('base64')
    .replaceAll('+', '_')
    .replaceAll('/', '-')
    .replace(/=+$/, '')
    .replace(/^-/, 'x');
}
