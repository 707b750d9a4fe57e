/**
 * The headers that a listener adds to requests. What a client sends under the name of one that is switched on never reaches a
 * member, but for X-Forwarded-For, which grows by the client's address, and a sane X-Request-ID; what is switched off
 * passes through, because the client may be a proxy that members trust. Source: contract dataplane.md 8.3 and 15.
 */
import type { Listener } from '../../model/listener.ts';
import type { Pool } from '../../model/pool.ts';
import { LISTENER_FEATURES } from '../../model/protocols.ts';
import { hasRelease, type RenderContext } from './context.ts';
import { type Line, line, type Word, word, words } from './quote.ts';

interface InsertedHeader {
  /** Others get it only on pools of protocol HTTP, as in the original. */
  anyPool?: true;
  line(listener: Listener, context: RenderContext): Line;
}

const set = (name: Word, value: Word): InsertedHeader => ({
  line: () => line`http-request set-header ${name} ${value}`,
});

/** In the order of their lines. Three that tell the address have none in the original, which accepts and ignores them. */
const INSERTED_HEADERS: Readonly<Record<string, InsertedHeader>> = {
  'X-Forwarded-For': { line: () => line`option forwardfor` },
  'X-Forwarded-Port': set(words`X-Forwarded-Port`, words`%[dst_port]`),
  'X-Forwarded-Proto': {
    anyPool: true,
    line: ({ protocol }) =>
      line`http-request set-header X-Forwarded-Proto ${protocol === 'HTTP' ? words`http` : words`https`}`,
  },
  'X-Forwarded-IP': set(words`X-Forwarded-IP`, words`%[src]`),
  'X-Client-IP': set(words`X-Client-IP`, words`%[src]`),
  'X-Real-IP': set(words`X-Real-IP`, words`%[src]`),
  ...onAnyPool({
    'X-SSL-Client-Verify': words`%[ssl_c_verify]`,
    'X-SSL-Client-Has-Cert': words`%[ssl_c_used]`,
    'X-SSL-Client-DN': words`%{+Q}[ssl_c_s_dn]`,
    'X-SSL-Client-CN': words`%{+Q}[ssl_c_s_dn(cn)]`,
    'X-SSL-Issuer': words`%{+Q}[ssl_c_i_dn]`,
    'X-SSL-Client-SHA1': words`%{+Q}[ssl_c_sha1,hex]`,
    'X-SSL-Client-Not-Before': words`%{+Q}[ssl_c_notbefore]`,
    'X-SSL-Client-Not-After': words`%{+Q}[ssl_c_notafter]`,
  }),
  'X-Request-ID': { anyPool: true, line: (_, context) => requestIdLine(context) },
};

/** What they tell of the client's certificate is true for members of every kind. */
function onAnyPool(values: Record<string, Word>): Record<string, InsertedHeader> {
  const entries = Object.entries(values);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, { ...set(word(name), value), anyPool: true }]),
  );
}

/** A client's own is kept when it is one, and short and harmless enough for the logs of members. */
function requestIdLine(context: RenderContext): Line {
  const fresh = hasRelease(context, 2, 1) ? words`%[uuid]` : words`%[date]-%[rand]-%[rand]`;
  const isOne = words`{ req.fhdr_cnt(X-Request-ID) eq 1 }`;
  const isSane = words`{ req.fhdr(X-Request-ID) -m reg ^[A-Za-z0-9][A-Za-z0-9._:+/=@-]{0,127}$ }`;
  return line`http-request set-header X-Request-ID ${fresh} unless ${isOne} ${isSane}`;
}

/** Of the headers that this listener may insert, those that are switched on. */
export function insertedHeaderLines(listener: Listener, pool: Pool, context: RenderContext): Line[] {
  const { insert_headers } = LISTENER_FEATURES[listener.protocol];
  return Object.entries(INSERTED_HEADERS)
    .filter(
      ([name, { anyPool }]) =>
        insert_headers.includes(name) &&
        listener.insert_headers[name]?.toLowerCase() === 'true' &&
        (anyPool || pool.protocol === 'HTTP'),
    )
    .map(([, header]) => header.line(listener, context));
}
