/** What the agent reads out of a haproxy.cfg that somebody else rendered. Source: contract dataplane.md 12. */

export interface FrontendText {
  name: string;
  /** As `GET /listeners` shows it. */
  type: string;
}

/** Drops the `group` that older controllers send: the amphora's image says which it is. Source: contract amphora-agent.md 5.2. */
export function withoutGroup(text: string): string {
  return text.replace(/\s+group\s.+/g, '');
}

export function listFrontends(text: string): FrontendText[] {
  return [...sections(text, 'frontend')].map(({ name, body }) => {
    const mode = /^\s+mode\s+(.*)$/m.exec(body)?.[1]?.trim() ?? '';
    const terminatesTls = /^\s+bind\s+\S+\s+ssl crt-list\s+(\S*)/m.test(body);
    return { name, type: terminatesTls ? 'TERMINATED_HTTPS' : mode.toUpperCase() };
  });
}

export function findStatsSocket(text: string): string | undefined {
  return /stats socket\s+(\S+)/.exec(text)?.[1];
}

/** The addresses that clients connect to, each once. */
export function listBindAddresses(text: string): string[] {
  const addresses = new Set<string>();
  for (const [, words] of text.matchAll(/^\s+bind\s+(.*)$/gm)) {
    const bound = words!.split(/\s+/).find(word => word.includes(':'));
    const address = bound?.slice(0, bound.lastIndexOf(':'));
    if (address && address !== '127.0.0.1') addresses.add(address);
  }
  return [...addresses];
}

function* sections(text: string, keyword: string): Generator<{ name: string; body: string }> {
  const heads = [...text.matchAll(/^(\w[\w-]*)(?:[ \t]+(\S+))?[ \t]*$/gm)];
  for (const [index, head] of heads.entries()) {
    if (head[1] !== keyword || head[2] === undefined) continue;
    yield { name: head[2], body: text.slice(head.index + head[0].length, heads[index + 1]?.index) };
  }
}
