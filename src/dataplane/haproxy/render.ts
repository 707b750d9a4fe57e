/** haproxy.cfg: the whole of what one amphora serves for one load balancer, from rows alone. */
import type { LoadBalancerGraph } from '../../model/graph.ts';
import { backendSection } from './backend.ts';
import type { RenderContext } from './context.ts';
import { frontendSection } from './frontend.ts';
import { defaultsSection, globalSection, peersSection, type Section } from './global.ts';
import { metricsSections } from './prometheus.ts';
import { line, word } from './quote.ts';
import { servedListeners } from './served.ts';

/**
 * The text of haproxy.cfg, or null when nothing is to be served: the load balancer is disabled, or has no enabled
 * listener that haproxy carries. Equal graphs give equal bytes, in whatever order their rows come.
 * Throws `TerminalError` on a value that cannot stand in the file.
 */
export function renderHaproxyConfig(graph: LoadBalancerGraph, context: RenderContext): string | null {
  const lb = graph.load_balancer;
  const listeners = servedListeners(graph, context);
  if (listeners.length === 0) return null;
  const sections = [
    globalSection(graph, listeners, context),
    defaultsSection(context),
    peersSection(graph, listeners, context),
    ...metricsSections(listeners, context),
    ...listeners.flatMap(served => [
      frontendSection(lb, served, context),
      ...served.pools.map(pool => backendSection(lb, served, pool, context)),
    ]),
  ];
  const head = line`# Configuration for loadbalancer ${word(lb.id)}`;
  return `${[head, ...sections.filter(s => s !== undefined).map(printSection)].join('\n\n')}\n`;
}

function printSection({ head, lines }: Section): string {
  return [head, ...lines.map(text => `    ${text}`)].join('\n');
}
