/** The certificate of a member that ends TLS itself. */
import { issueAuthority, issueLeaf } from '../../src/drivers/certificates/issue.ts';

const DAY_MS = 86_400_000;

/** For the `pem` of a member of kind `https`; its common name is the member's name. */
export async function issueMemberCertificate(name: string): Promise<{ key: string; cert: string }> {
  const validity = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) };
  const authority = await issueAuthority({ commonName: 'authority of members', ...validity });
  const { certificate, key } = await issueLeaf(authority, {
    ...{ commonName: name, dnsName: `${name}.example`, ...validity },
  });
  return { key: key.reveal(), cert: certificate };
}
