/** The kernel's table of IPVS and what ipvsadm counts, read. Source: contract heartbeat.md 3. */
import { canonical } from '../network/address.ts';

export interface IpVsCounters {
  stot: number;
  bin: number;
  bout: number;
}

export const serviceKey = (protocol: string, vip: string, port: number): string =>
  `${protocol.toUpperCase()} ${canonical(vip)} ${port}`;

/** /proc/net/ip_vs: for each service its real servers, as `address port`, with the connections that each has now. */
export function parseIpVs(text: string): Map<string, Map<string, number>> {
  const services = new Map<string, Map<string, number>>();
  let servers = new Map<string, number>();
  for (const line of text.split('\n')) {
    const words = line.trim().split(/\s+/);
    if (words[0] === 'UDP' || words[0] === 'SCTP') {
      servers = new Map();
      services.set(`${words[0]} ${readHex(words[1]!)}`, servers);
    } else if (words[0] === 'TCP' || words[0] === 'FWM') servers = new Map();
    else if (words[0] === '->' && /^\d+$/.test(words[4] ?? ''))
      servers.set(readHex(words[1]!), Number(words[4]));
  }
  return services;
}

/** `0A000001:0050`, `[2001:0db8:…]:0050`. */
function readHex(text: string): string {
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, colon);
  const port = Number.parseInt(text.slice(colon + 1), 16);
  if (host.startsWith('[')) return `${canonical(host.slice(1, -1))} ${port}`;
  return `${host
    .match(/../g)!
    .map(byte => Number.parseInt(byte, 16))
    .join('.')} ${port}`;
}

/** `ipvsadm -Ln --stats --exact`: what each service counted. */
export function parseIpVsStatistics(text: string): Map<string, IpVsCounters> {
  const counters = new Map<string, IpVsCounters>();
  for (const line of text.split('\n')) {
    const [protocol, where, conns, , , bin, bout] = line.trim().split(/\s+/);
    if ((protocol !== 'UDP' && protocol !== 'SCTP') || bout === undefined) continue;
    const colon = where!.lastIndexOf(':');
    const host = where!.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
    const key = serviceKey(protocol, host, Number(where!.slice(colon + 1)));
    counters.set(key, { stot: Number(conns), bin: Number(bin), bout: Number(bout) });
  }
  return counters;
}
