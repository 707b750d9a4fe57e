/** Reads a `transport_url` of oslo.messaging: `rabbit://user:password@host:port,user:password@host:port/vhost?ssl=1`. */
import { Secret } from '../lib/secret.ts';

export interface BrokerHost {
  host: string;
  /** undefined: the protocol's own. */
  port: number | undefined;
  username: string;
  password: Secret;
}

export interface BrokerAddress {
  /** Any of them will do; at least one. */
  hosts: BrokerHost[];
  vhost: string;
  /** What stands behind the question mark takes the place of `[oslo_messaging_rabbit]`. */
  query: URLSearchParams;
}

/** Throws a sentence that ends `transport_url: …`, without what may be secret in it. Source: oslo.messaging, TransportURL.parse. */
export function parseTransportUrl(url: string): BrokerAddress {
  const match = /^([\w+-]+):\/\/([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/.exec(url);
  if (!match) throw new Error('it must look like rabbit://user:password@host:5672/');
  const [, scheme, places = '', vhost = '', query = ''] = match;
  if (scheme !== 'rabbit' && scheme !== 'kombu')
    throw new Error(`${scheme} is no broker that can be used; there is rabbit`);
  const hosts: BrokerHost[] = [];
  for (const place of places.split(',')) {
    const parts = /^(?:([^:@]*)(?::([^@]*))?@)?(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(
      place.trim(),
    );
    if (!parts) throw new Error(`host ${hosts.length + 1} must be user:password@host:port`);
    const [, username, password, v6, name, port] = parts;
    // As in the original, who is named without an account has that of the host before.
    const before = hosts.at(-1) ?? { username: 'guest', password: new Secret('guest') };
    hosts.push({
      host: v6 ?? (name || 'localhost'),
      port: port === undefined ? undefined : Number(port),
      username: username === undefined ? before.username : decodeURIComponent(username),
      password: password === undefined ? before.password : new Secret(decodeURIComponent(password)),
    });
  }
  return { hosts, vhost: decodeURIComponent(vhost) || '/', query: new URLSearchParams(query) };
}
