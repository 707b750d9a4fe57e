/** What every certificate authority must do: run by each implementation's test. */
import { X509Certificate } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { checkServerIdentity, connect, createServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CertificateAuthority } from './authority.ts';

export interface AuthoritySubject {
  authority: CertificateAuthority;
  /** Another object on the same keys: what a restarted process has. */
  reopen(): CertificateAuthority;
  tearDown(): Promise<void>;
}

const AMPHORA = '3c5d7a52-5f0b-4c6e-9a0e-0d7f6f2b8a11';

export function authorityContract(name: string, setUp: () => Promise<AuthoritySubject>): void {
  describe(`${name} as certificate authority`, () => {
    let subject: AuthoritySubject;

    beforeAll(async () => {
      subject = await setUp();
    });
    afterAll(() => subject.tearDown());

    test('names the amphora in subject and SAN, and for how long', async () => {
      const { pem, expires_at } = await subject.authority.issueAgentCertificate(AMPHORA);
      const certificate = new X509Certificate(pem.reveal());
      expect(certificate.subject).toBe(`CN=${AMPHORA}`);
      expect(certificate.subjectAltName).toBe(`DNS:${AMPHORA}`);
      expect(certificate.ca).toBe(false);
      expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
      expect(`${expires_at.slice(0, 19)}Z`).toBe(
        new Date(certificate.validTo).toISOString().replace('.000', ''),
      );
      expect(expires_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000000$/);
    });

    test('issues another key and serial number each time', async () => {
      const [one, two] = await Promise.all(
        [1, 2].map(() => subject.authority.issueAgentCertificate(AMPHORA)),
      );
      const certificates = [one!, two!].map(each => new X509Certificate(each.pem.reveal()));
      expect(certificates[0]!.serialNumber).not.toBe(certificates[1]!.serialNumber);
      expect(certificates[0]!.publicKey.equals(certificates[1]!.publicKey)).toBe(false);
    });

    test('is the same authority after a restart', async () => {
      const again = subject.reopen();
      expect(await again.clientCa()).toBe(await subject.authority.clientCa());
      const { serverCa } = await subject.authority.controllerCredentials();
      const { pem } = await again.issueAgentCertificate(AMPHORA);
      const signed = new X509Certificate(pem.reveal()).verify(new X509Certificate(serverCa).publicKey);
      expect(signed).toBe(true);
    });

    test('lets controller and agent know each other, and only by the right id', async () => {
      const { authority } = subject;
      const { pem } = await authority.issueAgentCertificate(AMPHORA);
      expect(await shakeHands(authority, pem.reveal(), AMPHORA)).toBe('OctaviaController');
      const stranger = 'b0a7c3de-0000-4000-8000-000000000000';
      await expect(shakeHands(authority, pem.reveal(), stranger)).rejects.toThrow('does not match');
    });

    test('does not take an agent for a controller', async () => {
      const { authority } = subject;
      const { pem } = await authority.issueAgentCertificate(AMPHORA);
      const asClient = { certificate: pem.reveal(), key: pem };
      await expect(shakeHands(authority, pem.reveal(), AMPHORA, asClient)).rejects.toThrow();
    });
  });
}

/** One mutual handshake as controller and agent do it; resolves with the name of the client that the server saw. */
async function shakeHands(
  authority: CertificateAuthority,
  serverPem: string,
  expectedId: string,
  client?: { certificate: string; key: { reveal(): string } },
): Promise<string> {
  const credentials = await authority.controllerCredentials();
  const { certificate, key } = client ?? credentials;
  const server = createServer({
    ...{ cert: serverPem, key: serverPem, ca: await authority.clientCa() },
    ...{ requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' as const },
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  try {
    return await new Promise<string>((resolve, reject) => {
      server.on('tlsClientError', reject);
      server.on('secureConnection', socket => {
        const { CN } = socket.getPeerCertificate().subject;
        resolve(String(CN));
        socket.end();
      });
      const socket = connect({
        ...{ host: '127.0.0.1', port: (server.address() as AddressInfo).port, servername: expectedId },
        ...{ ca: credentials.serverCa, cert: certificate, key: key.reveal() },
        checkServerIdentity: (_host, peer) => checkServerIdentity(expectedId, peer),
      });
      socket.on('error', reject);
      socket.resume();
    });
  } finally {
    server.close();
  }
}
