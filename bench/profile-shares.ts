/** Where this process spends its processor time, from V8's own sampling. */
import { type Profiler, Session } from 'node:inspector/promises';

/** A share and the functions or files that it consists of; a sample belongs to the first frame, from the innermost, that any names. */
export type Shares = Readonly<Record<string, RegExp>>;

/** Calls `work` under the profiler. The shares are per cent of the time in which the process was not idle. */
export async function profileShares(
  shares: Shares,
  rest: string,
  work: () => Promise<void>,
): Promise<{ percent: [name: string, percent: number][]; profile: Profiler.Profile }> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: 500 });
    await session.post('Profiler.start');
    await work();
    const { profile } = await session.post('Profiler.stop');
    return { percent: sumShares(profile, shares, rest), profile };
  } finally {
    session.disconnect();
  }
}

function sumShares(profile: Profiler.Profile, shares: Shares, rest: string): [string, number][] {
  const parents = new Map<number, Profiler.ProfileNode>();
  const nodes = new Map(profile.nodes.map(node => [node.id, node]));
  for (const node of profile.nodes) for (const child of node.children ?? []) parents.set(child, node);
  const nameOf = (leaf: Profiler.ProfileNode): string => {
    for (let node: Profiler.ProfileNode | undefined = leaf; node; node = parents.get(node.id)) {
      const frame = `${node.callFrame.functionName} ${node.callFrame.url}`;
      for (const [name, pattern] of Object.entries(shares)) if (pattern.test(frame)) return name;
    }
    return rest;
  };
  const sums = new Map([...Object.keys(shares), rest].map(name => [name, 0]));
  let total = 0;
  for (const [index, id] of (profile.samples ?? []).entries()) {
    const node = nodes.get(id)!;
    if (node.callFrame.functionName === '(idle)') continue;
    const took = Math.max(0, profile.timeDeltas?.[index] ?? 0);
    const name = nameOf(node);
    sums.set(name, sums.get(name)! + took);
    total += took;
  }
  return [...sums].map(([name, took]) => [name, (took * 100) / total]);
}
