/** The way of a scrape from a PROMETHEUS listener to the metrics of haproxy itself. Source: contract dataplane.md 3. */
import { hasRelease, type RenderContext } from './context.ts';
import type { Section } from './global.ts';
import { type Line, line } from './quote.ts';
import type { ServedListener } from './served.ts';

const servesMetrics = ({ listener }: ServedListener, context: RenderContext) =>
  listener.protocol === 'PROMETHEUS' && hasRelease(context, 2, 0);

/** What the frontend of such a listener has instead of a pool. */
export const metricsLines = (served: ServedListener, context: RenderContext): Line[] =>
  servesMetrics(served, context) ? [line`default_backend prometheus-exporter-internal`] : [];

/**
 * haproxy's own exporter, for the program in the amphora that renames the metrics, and the way to that program. The names and numbers are
 * what the programs of every image expect.
 */
export function metricsSections(listeners: readonly ServedListener[], context: RenderContext): Section[] {
  if (!listeners.some(served => servesMetrics(served, context))) return [];
  return [
    {
      head: line`frontend prometheus-exporter-internal-endpoint`,
      lines: [
        line`bind 127.0.0.1:9101`,
        line`mode http`,
        line`no log`,
        line`http-request use-service prometheus-exporter if { path /metrics }`,
        line`http-request reject`,
        line`timeout http-request 5s`,
        line`timeout client 5s`,
      ],
    },
    {
      head: line`backend prometheus-exporter-internal`,
      lines: [
        line`mode http`,
        line`no log`,
        line`balance first`,
        line`timeout connect 5s`,
        line`timeout server 5s`,
        line`server prometheus-internal 127.0.0.1:9102`,
      ],
    },
  ];
}
