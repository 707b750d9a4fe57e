/** The name under which an amphora's haproxy knows itself among its peers. */
import { createHash } from 'node:crypto';

/** The alphabet is swapped against that of URL-safe base64. Source: contract amphora-agent.md 5.2. */
export function peerName(amphoraId: string): string {
  return createHash('sha1')
    .update(amphoraId)
    .digest('base64')
    .replaceAll('+', '_')
    .replaceAll('/', '-')
    .replace(/=+$/, '')
    .replace(/^-/, 'x');
}
