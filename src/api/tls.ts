/** The rules of ciphers, TLS versions, ALPN and certificates, the same for listeners and pools. Source: contract api.md 6.5. */
import { createSecureContext } from 'node:tls';
import type { Reader } from '../drivers/certificates/secrets.ts';
import { Fault, type FaultKind } from '../lib/errors.ts';
import { TLS_VERSIONS } from '../model/listener.ts';
import { type Body, type Field, refuse } from './body.ts';
import { choice, list, text } from './fields.ts';
import type { Inspection } from './resource.ts';
import type { ApiSettings, TlsDefaults } from './settings.ts';

type Version = (typeof TLS_VERSIONS)[number];
const ALPN = ['h2', 'http/1.1', 'http/1.0'] as const;

export const TLS_FIELDS = {
  tls_ciphers: {
    kind: text(2048, value =>
      /^[A-Za-z0-9\-+!:@=_.]*$/.test(value) ? undefined : 'Value should be an OpenSSL cipher list.',
    ),
    doc: 'The ciphers, as OpenSSL lists them.',
  },
  tls_versions: {
    kind: list(choice(TLS_VERSIONS), { notEmpty: true }),
    doc: 'The TLS versions that may be negotiated.',
  },
  alpn_protocols: { kind: list(choice(ALPN), { notEmpty: true }), doc: 'The protocols that ALPN offers.' },
} satisfies Record<string, Field>;

export const REFERENCE: Field = { kind: text(255), doc: 'A reference into the key manager.' };

/**
 * Throws when the operator forbids a cipher or a version that the body asks for, and when OpenSSL knows none of the ciphers or speaks
 * none of the versions: haproxy would then reject the configuration of the whole load balancer.
 */
export function checkTlsChoice(body: Body, settings: ApiSettings): void {
  const ciphers = body.tls_ciphers as string | null | undefined;
  const prohibited = ciphers?.split(':').filter(cipher => settings.tls_cipher_prohibit_list.includes(cipher));
  if (prohibited?.length)
    refuse('tls_ciphers', ciphers, `These ciphers are prohibited: ${prohibited.join(', ')}.`);
  if (ciphers && !areCiphers(ciphers)) refuse('tls_ciphers', ciphers, 'OpenSSL knows none of these ciphers.');
  const versions = body.tls_versions as Version[] | null | undefined;
  if (versions?.every(version => version === 'SSLv3'))
    refuse('tls_versions', versions, 'No amphora speaks SSLv3: name a newer version as well.');
  const minimum = TLS_VERSIONS.indexOf(settings.minimum_tls_version as Version);
  const old = versions?.filter(version => TLS_VERSIONS.indexOf(version) < minimum);
  if (old?.length)
    refuse('tls_versions', versions, `${settings.minimum_tls_version} is the oldest version allowed.`);
}

function areCiphers(list: string): boolean {
  try {
    createSecureContext({ ciphers: list });
    return true;
  } catch {
    // The answer to the question.
    return false;
  }
}

/** Fills what is null with the configured defaults. */
export function withTlsDefaults<T extends Body>(body: T, defaults: TlsDefaults) {
  return {
    ...body,
    tls_ciphers: body.tls_ciphers ?? defaults.ciphers,
    tls_versions: body.tls_versions ?? [...defaults.versions],
    alpn_protocols: body.alpn_protocols ?? [...defaults.alpn],
  };
}

/** Which fields of a body hold references into the key manager, and to what. */
interface ReferenceFields {
  bundles: readonly string[];
  authorities: string;
  revocationList: string;
}

export const LISTENER_REFERENCES: ReferenceFields = {
  bundles: ['default_tls_container_ref', 'sni_container_refs'],
  authorities: 'client_ca_tls_container_ref',
  revocationList: 'client_crl_container_ref',
};
export const POOL_REFERENCES: ReferenceFields = {
  bundles: ['tls_container_ref'],
  authorities: 'ca_tls_container_ref',
  revocationList: 'crl_container_ref',
};

/** What a reference may be at fault for; anything else is the key manager's own trouble. */
const BAD_REFERENCE: readonly FaultKind[] = ['not-found', 'forbidden', 'invalid'];

/**
 * Follows the references that were sent, as the caller; one that stands in the record already only where a new one must
 * go together with it. Throws `invalid`.
 */
export async function inspectReferences(
  fields: ReferenceFields,
  body: Body,
  { secrets, caller, record }: Inspection,
): Promise<void> {
  const merged: Body = { ...record, ...body };
  const read = async <T>(field: string, reference: string, get: (reader: Reader) => Promise<T>) => {
    try {
      return await get(body[field] == null ? 'service' : caller);
    } catch (cause) {
      if (cause instanceof Fault && BAD_REFERENCE.includes(cause.kind))
        refuse(field, reference, cause.message);
      throw cause;
    }
  };
  for (const field of fields.bundles) {
    for (const reference of [body[field] ?? []].flat() as string[])
      await read(field, reference, reader => secrets.getBundle(reference, reader));
  }
  const [ca, crl] = [merged[fields.authorities], merged[fields.revocationList]] as (string | null)[];
  if (!ca || !(body[fields.authorities] || body[fields.revocationList])) return;
  const authorities = await read(fields.authorities, ca, reader => secrets.getAuthorities(ca, reader));
  if (crl)
    await read(fields.revocationList, crl, reader => secrets.getRevocationList(crl, authorities, reader));
}
