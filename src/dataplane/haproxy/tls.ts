/** TLS of listeners towards clients, and of pools towards members. Source: contract dataplane.md 4, 7 and 8.4. */
import { type Listener, TLS_VERSIONS } from '../../model/listener.ts';
import type { Pool } from '../../model/pool.ts';
import { hasRelease, type RenderContext } from './context.ts';
import { type Line, line, number, separated, type Word, word, words } from './quote.ts';

/** What a listener or a pool needs from the key manager. */
export interface TlsReferences {
  /** The default one first. */
  bundles: string[];
  authorities: string | null;
  revocationList: string | null;
}

const present = (references: readonly (string | null)[]): string[] => references.filter(r => r !== null);

export function listenerReferences(listener: Listener): TlsReferences {
  const bundles = present([listener.default_tls_container_ref, ...listener.sni_container_refs]);
  const authorities = bundles.length > 0 ? listener.client_ca_tls_container_ref : null;
  // Without CAs there is nobody whose certificates could be revoked.
  return { bundles, authorities, revocationList: authorities && listener.client_crl_container_ref };
}

export function poolReferences(pool: Pool): TlsReferences {
  if (!pool.tls_enabled) return { bundles: [], authorities: null, revocationList: null };
  const authorities = pool.ca_tls_container_ref;
  return {
    bundles: present([pool.tls_container_ref]),
    authorities,
    revocationList: authorities && pool.crl_container_ref,
  };
}

/** Whether all that is referred to has been loaded; the rest could only be served as what it is not. */
export function isLoaded(
  { bundles, authorities, revocationList }: TlsReferences,
  { certificates }: Pick<RenderContext, 'certificates'>,
): boolean {
  return present([...bundles, authorities, revocationList]).every(ref => certificates?.has(ref));
}

/** Such a listener is never served in plain text: it needs a certificate. */
export function isServable(listener: Listener, context: Pick<RenderContext, 'certificates'>): boolean {
  const references = listenerReferences(listener);
  if (listener.protocol === 'TERMINATED_HTTPS' && references.bundles.length === 0) return false;
  return isLoaded(references, context);
}

/** The name of the file with the paths of a listener's certificates. Source: contract amphora-agent.md 9. */
export const crtListName = (listener: Pick<Listener, 'id'>): string => `${listener.id}.pem`;

/** The content of that file: haproxy takes the certificate of the first line where no other one fits. */
export function renderCrtList(listener: Listener, context: TlsContext): string {
  const { bundles } = listenerReferences(listener);
  const paths = new Set(bundles.map(reference => pathOf(reference, listener.loadbalancer_id, context)));
  return `${[...paths].join('\n')}\n`;
}

type TlsContext = Pick<RenderContext, 'certificates' | 'settings'>;

const directoryOf = (loadBalancerId: string, { settings }: TlsContext) =>
  `${settings.baseCertDir}/${loadBalancerId}`;

function pathOf(reference: string, loadBalancerId: string, context: TlsContext): Word {
  return word(`${directoryOf(loadBalancerId, context)}/${context.certificates?.get(reference)}`);
}

/** What comes before the `bind` lines of a listener that terminates HTTPS. */
export function httpsLines(listener: Listener): Line[] {
  if (listener.protocol !== 'TERMINATED_HTTPS') return [];
  const lines = [line`redirect scheme https if !{ ssl_fc }`];
  if (listener.hsts_max_age !== null) {
    const subdomains = listener.hsts_include_subdomains ? words` includeSubDomains;` : words``;
    const preload = listener.hsts_preload ? words` preload;` : words``;
    const policy = words`max-age=${number(listener.hsts_max_age)};${subdomains}${preload}`;
    lines.push(line`http-response set-header Strict-Transport-Security "${policy}"`);
  }
  return lines;
}

const VERIFY = { NONE: words`none`, OPTIONAL: words`optional`, MANDATORY: words`required` } as const;

/** What follows the address in a `bind` line; nothing where the listener does not end TLS. */
export function bindWords(listener: Listener, context: RenderContext): Word[] {
  const { bundles, authorities, revocationList } = listenerReferences(listener);
  if (bundles.length === 0) return [];
  const lb = listener.loadbalancer_id;
  const parts = [words`ssl crt-list ${word(`${directoryOf(lb, context)}/${crtListName(listener)}`)}`];
  if (authorities !== null) {
    const verify = VERIFY[listener.client_authentication];
    parts.push(words`ca-file ${pathOf(authorities, lb, context)} verify ${verify}`);
    if (revocationList !== null) parts.push(words`crl-file ${pathOf(revocationList, lb, context)}`);
  }
  parts.push(...cipherWords(listener, context), ...versionWords(listener, context));
  if (listener.alpn_protocols?.length) parts.push(words`alpn ${protocolList(listener.alpn_protocols)}`);
  return parts;
}

/** The words of each server of a pool, behind all others. */
export function serverTlsWords(pool: Pool, mode: 'tcp' | 'http', context: RenderContext): Word[] {
  if (!pool.tls_enabled) return [];
  const { bundles, authorities, revocationList } = poolReferences(pool);
  const lb = pool.loadbalancer_id;
  const parts = [words`ssl`, ...bundles.map(reference => words`crt ${pathOf(reference, lb, context)}`)];
  if (authorities !== null) parts.push(words`ca-file ${pathOf(authorities, lb, context)}`);
  if (revocationList !== null) parts.push(words`crl-file ${pathOf(revocationList, lb, context)}`);
  // The original writes it only beside a revocation list; a check of HTTPS or TLS-HELLO, which asks for no certificate,
  // would then have the traffic go to anybody.
  parts.push(authorities === null ? words`verify none` : words`verify required`, words`sni ssl_fc_sni`);
  parts.push(...cipherWords(pool, context), ...versionWords(pool, context));
  const alpn = memberProtocols(pool, mode, context);
  if (alpn !== undefined) parts.push(words`alpn ${alpn}`);
  return parts;
}

/**
 * What ALPN offers to members. Where haproxy passes bytes on without a look, the member must not choose what the client
 * then would not speak: there only a single protocol is offered, unlike in the original.
 */
export function memberProtocols(pool: Pool, mode: 'tcp' | 'http', context: RenderContext): Word | undefined {
  const protocols = pool.tls_enabled ? (pool.alpn_protocols ?? []) : [];
  if (protocols.length === 0 || !hasRelease(context, 1, 9)) return undefined;
  return mode === 'tcp' && protocols.length > 1 ? undefined : protocolList(protocols);
}

type TlsChoice = Pick<Listener, 'tls_ciphers' | 'tls_versions' | 'alpn_protocols'>;

/** haproxy has a word of its own for the suites of TLS 1.3, which the original does not use: there they have no effect. */
function cipherWords({ tls_ciphers }: TlsChoice, context: RenderContext): Word[] {
  const names = tls_ciphers?.split(':').filter(name => name !== '') ?? [];
  const isSuite = (name: string) => name.startsWith('TLS_') && hasRelease(context, 2, 0);
  const list = (chosen: string[]) => word(chosen.join(':'));
  const [suites, ciphers] = [names.filter(isSuite), names.filter(name => !isSuite(name))];
  return [
    ...(ciphers.length > 0 ? [words`ciphers ${list(ciphers)}`] : []),
    ...(suites.length > 0 ? [words`ciphersuites ${list(suites)}`] : []),
  ];
}

const NO_VERSION: Readonly<Record<(typeof TLS_VERSIONS)[number], Word>> = {
  SSLv3: words`no-sslv3`,
  TLSv1: words`no-tlsv10`,
  'TLSv1.1': words`no-tlsv11`,
  'TLSv1.2': words`no-tlsv12`,
  'TLSv1.3': words`no-tlsv13`,
};

const AS_LIMIT: Readonly<Record<(typeof TLS_VERSIONS)[number], Word>> = {
  SSLv3: words`SSLv3`,
  TLSv1: words`TLSv1.0`,
  'TLSv1.1': words`TLSv1.1`,
  'TLSv1.2': words`TLSv1.2`,
  'TLSv1.3': words`TLSv1.3`,
};

/**
 * haproxy begins with TLS 1.2 unless it is told of an older one, which the original does not do: there those have no effect. Beside
 * that it takes no exclusions, so that what lies between the oldest and the newest is spoken as well.
 */
function versionWords({ tls_versions }: TlsChoice, context: RenderContext): Word[] {
  const spoken = TLS_VERSIONS.filter(version => tls_versions?.includes(version));
  const [oldest, newest] = [spoken[0], spoken.at(-1)];
  if (tls_versions === null || oldest === undefined || newest === undefined) return [];
  if (TLS_VERSIONS.indexOf(oldest) < TLS_VERSIONS.indexOf('TLSv1.2') && hasRelease(context, 1, 8))
    return [words`ssl-min-ver ${AS_LIMIT[oldest]} ssl-max-ver ${AS_LIMIT[newest]}`];
  return TLS_VERSIONS.filter(version => !spoken.includes(version)).map(version => NO_VERSION[version]);
}

const protocolList = (protocols: readonly string[]): Word => separated(protocols.map(word), ',');
