/** The rules of ciphers, TLS versions and ALPN, the same for listeners and pools. Source: contract api.md 6.5. */
import { type Body, type Field, refuse } from './body.ts';
import { choice, list, text } from './fields.ts';
import type { ApiSettings, TlsDefaults } from './settings.ts';

/** Oldest first. */
const VERSIONS = ['SSLv3', 'TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
const ALPN = ['h2', 'http/1.1', 'http/1.0'] as const;

export const TLS_FIELDS = {
  tls_ciphers: {
    kind: text(2048, value =>
      /^[A-Za-z0-9\-+!:@=_.]*$/.test(value) ? undefined : 'Value should be an OpenSSL cipher list.',
    ),
    doc: 'The ciphers, as OpenSSL lists them.',
  },
  tls_versions: {
    kind: list(choice(VERSIONS), { notEmpty: true }),
    doc: 'The TLS versions that may be negotiated.',
  },
  alpn_protocols: { kind: list(choice(ALPN), { notEmpty: true }), doc: 'The protocols that ALPN offers.' },
} satisfies Record<string, Field>;

export const REFERENCE: Field = { kind: text(255), doc: 'A reference into the key manager.' };

/** Throws when the operator forbids a cipher or a version that the body asks for. */
export function checkTlsChoice(body: Body, settings: ApiSettings): void {
  const ciphers = body.tls_ciphers as string | null | undefined;
  const prohibited = ciphers?.split(':').filter(cipher => settings.tls_cipher_prohibit_list.includes(cipher));
  if (prohibited?.length)
    refuse('tls_ciphers', ciphers, `These ciphers are prohibited: ${prohibited.join(', ')}.`);
  const versions = body.tls_versions as (typeof VERSIONS)[number][] | null | undefined;
  const minimum = VERSIONS.indexOf(settings.minimum_tls_version as (typeof VERSIONS)[number]);
  const old = versions?.filter(version => VERSIONS.indexOf(version) < minimum);
  if (old?.length)
    refuse('tls_versions', versions, `${settings.minimum_tls_version} is the oldest version allowed.`);
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
