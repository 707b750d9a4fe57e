/** The flows that the kernel knows: counted by listener and member, and ended where their member is gone. */
import { CommandError, run } from '../../lib/command.ts';
import { canonical } from '../network/address.ts';
import { INNER_NAMESPACE } from '../network/namespace.ts';
import type { LvsListener, LvsMember, Service } from './config-text.ts';

const TIMEOUT_MS = 20_000;

/** By service, as `protocol address port`, how many go where, as `address port`. */
export type Flows = ReadonlyMap<string, ReadonlyMap<string, number>>;

export const targetOf = ({ address, port }: Pick<LvsMember, 'address' | 'port'>): string =>
  `${canonical(address)} ${port}`;

const keyOf = (protocol: string | undefined, vip: string, port: number | string): string =>
  `${protocol} ${canonical(vip)} ${port}`;

const vipsOf = ({ services, protocol }: LvsListener): { service: Service; vip: string; key: string }[] =>
  services.flatMap(service =>
    service.vips.map(vip => ({ service, vip, key: keyOf(protocol, vip, service.port) })),
  );

/** How many each member of the listener has, and whoever else answers in a member's place. */
export function countFlows(flows: Flows, listener: LvsListener): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { key } of vipsOf(listener)) {
    for (const [target, count] of flows.get(key) ?? []) counts.set(target, (counts.get(target) ?? 0) + count);
  }
  return counts;
}

export async function listFlows(): Promise<Flows> {
  return parseFlows(await conntrack(['-L']));
}

/**
 * Ends all flows that go elsewhere than to these targets: to members that were removed or died, and to nobody at all, as flows do
 * that began before there was a member. A client that sends on is a new flow.
 */
export async function endOtherFlows(listener: LvsListener, kept: ReadonlySet<string>): Promise<void> {
  const flows = await listFlows();
  for (const { service, vip, key } of vipsOf(listener)) {
    const family = service.version === 4 ? 'ipv4' : 'ipv6';
    const filter = [
      '-f',
      family,
      '-p',
      listener.protocol!,
      '--orig-dst',
      vip,
      '--orig-port-dst',
      `${service.port}`,
    ];
    for (const target of flows.get(key)?.keys() ?? []) {
      if (kept.has(target)) continue;
      const [address, port] = target.split(' ') as [string, string];
      await conntrack(['-D', ...filter, '--reply-src', address, '--reply-port-src', port]);
    }
  }
}

/** Each line has source and destination twice: as the client sent it, and as the answer comes. */
export function parseFlows(listing: string): Flows {
  const flows = new Map<string, Map<string, number>>();
  for (const line of listing.split('\n')) {
    const protocol = /^(udp|sctp) /.exec(line)?.[1];
    const [, sent, answer] = line.split(/ (?=src=)/).map(part => new Map(fieldsOf(part)));
    if (protocol === undefined || answer === undefined) continue;
    const key = keyOf(protocol, sent!.get('dst')!, sent!.get('dport')!);
    const target = `${canonical(answer.get('src')!)} ${answer.get('sport')}`;
    const targets = flows.get(key) ?? new Map<string, number>();
    flows.set(key, targets.set(target, (targets.get(target) ?? 0) + 1));
  }
  return flows;
}

const fieldsOf = (part: string): [string, string][] =>
  part.split(' ').map(word => word.split('=') as [string, string]);

async function conntrack(args: string[]): Promise<string> {
  try {
    const command = ['netns', 'exec', INNER_NAMESPACE, 'conntrack', ...args];
    return (await run('ip', command, { timeoutMs: TIMEOUT_MS })).stdout;
  } catch (error) {
    // So it says that a flow ended by itself in the meantime.
    if (error instanceof CommandError && error.stderr.includes('0 flow entries')) return '';
    throw error;
  }
}
