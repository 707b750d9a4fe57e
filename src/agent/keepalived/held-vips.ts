/** VIPs that an amphora served alone, in the moment in which keepalived comes to hold them, or goes and leaves them. */
import { run } from '../../lib/command.ts';
import { canonical } from '../network/address.ts';
import { INNER_NAMESPACE } from '../network/namespace.ts';
import { awaitCondition } from '../wait.ts';

const TIMEOUT_MS = 10_000;
const FAMILIES = ['-4', '-6'] as const;

export interface Held {
  link: string;
  /** With its length. */
  prefix: string;
}

/** Which of the addresses this amphora has now, and where. */
export async function listHeld(vips: ReadonlySet<string>): Promise<Held[]> {
  const { stdout } = await run('ip', ['-netns', INNER_NAMESPACE, '-o', 'address', 'show'], {
    timeoutMs: TIMEOUT_MS,
  });
  return stdout
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .filter(([, , , prefix = '']) => vips.has(canonical(prefix.split('/')[0]!)))
    .map(([, link, , prefix]) => ({ link: link!, prefix: prefix! }));
}

export async function batch(lines: readonly string[], ...flags: string[]): Promise<void> {
  const input = `${lines.join('\n')}\n`;
  await run('ip', ['-netns', INNER_NAMESPACE, ...flags, '-batch', '-'], { input, timeoutMs: TIMEOUT_MS });
}

/**
 * Has the loopback interface hold the VIPs from before keepalived starts, which takes them away from where they are, until it has
 * listened in vain for the other half and put them back: no packet to them is lost. Where no VIP is here it only starts.
 */
export async function startOverVips(vips: ReadonlySet<string>, start: () => Promise<void>): Promise<void> {
  const held = await listHeld(vips);
  if (held.length === 0) return start();
  const nodad = (prefix: string) => (prefix.includes(':') ? ' nodad' : '');
  try {
    await batch(
      held.map(({ prefix }) => `address replace ${prefix} dev lo${nodad(prefix)}`),
      '-force',
    );
    await start();
    await awaitCondition(isMaster, TIMEOUT_MS);
  } finally {
    // Also when it does not become the one that has them: then they must be the other half's alone.
    await releaseLoopback(vips);
  }
}

/** What a start that was cut short has left there. */
export async function releaseLoopback(vips: ReadonlySet<string>): Promise<void> {
  const held = (await listHeld(vips)).filter(({ link }) => link === 'lo');
  if (held.length > 0) await batch(held.map(({ prefix }) => `address delete ${prefix} dev lo`));
}

/** Its rules come with the VIPs. */
async function isMaster(): Promise<boolean> {
  const rules = FAMILIES.map(family =>
    run('ip', ['-netns', INNER_NAMESPACE, family, 'rule', 'show'], { timeoutMs: TIMEOUT_MS }),
  );
  return (await Promise.all(rules)).some(({ stdout }) => stdout.includes('proto keepalived'));
}

/** What a keepalived that was killed has left beside the VIPs; the interface's own routes do for them as well. */
export async function forgetRoutes(): Promise<void> {
  const left = ['rule flush protocol keepalived', 'route flush table 1 proto keepalived'];
  // A table that is empty is none.
  for (const family of FAMILIES) await batch(left, family, '-force').catch(() => {});
}
