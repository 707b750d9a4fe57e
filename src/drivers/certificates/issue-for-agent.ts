/** The certificate of an agent, whoever its authority is. */
import { timestamp } from '../../lib/clock.ts';
import { Secret } from '../../lib/secret.ts';
import type { AgentCertificate } from './authority.ts';
import { type Issuer, issueLeaf } from './issue.ts';

/** Valid from `nowMs` for `lifeMs` milliseconds, and no longer than its authority. */
export async function issueForAgent(
  issuer: Issuer,
  amphoraId: string,
  nowMs: number,
  lifeMs: number,
): Promise<AgentCertificate> {
  const endsAtMs = Math.min(nowMs + lifeMs, issuer.notAfter.getTime());
  // A certificate knows whole seconds only.
  const notAfter = new Date(Math.floor(endsAtMs / 1000) * 1000);
  const names = { commonName: amphoraId, dnsName: amphoraId };
  const validity = { notBefore: new Date(nowMs), notAfter };
  const { certificate, key } = await issueLeaf(issuer, { ...names, ...validity });
  return { pem: new Secret(certificate + key.reveal()), expires_at: timestamp(notAfter.getTime()) };
}
