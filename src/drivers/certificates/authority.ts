/** The seam to whoever signs: certificates for the agents, and what both ends of the agent API trust. */
import type { Secret } from '../../lib/secret.ts';

export interface AgentCertificate {
  /** Certificate, then key, in one PEM text: the agent's `server.pem`. */
  pem: Secret;
  /** Naive UTC. */
  expires_at: string;
}

/** The controller's own side of the agent API. */
export interface ControllerCredentials {
  certificate: string;
  key: Secret;
  /** Verifies agents; may be a chain. */
  serverCa: string;
}

export interface CertificateAuthority {
  /** A fresh key and certificate whose CN and SAN dNSName are the amphora's id. Source: contract controller.md 16.3. */
  issueAgentCertificate(amphoraId: string): Promise<AgentCertificate>;
  /** What agents trust: the amphora's `client_ca.pem`. */
  clientCa(): Promise<string>;
  controllerCredentials(): Promise<ControllerCredentials>;
}
