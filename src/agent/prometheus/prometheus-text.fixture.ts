/** A strict reader of Prometheus' text format, version 0.0.4. */

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const TYPES = ['counter', 'gauge', 'histogram', 'summary', 'untyped'];
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;

/** Throws what is wrong with which line; a metric is told of in one place, with its type first, and no sample twice. */
export function parsePrometheusText(text: string): Sample[] {
  const samples: Sample[] = [];
  const typed = new Map<string, string>();
  const finished = new Set<string>();
  const seen = new Set<string>();
  let current = '';
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new Error('The last line is not ended');
  for (const [index, line] of lines.entries()) {
    const fail = (why: string) => new Error(`Line ${index + 1} ${why}: ${line}`);
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    const name = comment?.[2] ?? sample?.[1];
    if (name === undefined) throw fail('is neither help, type nor sample');
    if (name !== current) {
      if (finished.has(name)) throw fail('comes back to a metric');
      finished.add(name);
      current = name;
    }
    if (comment?.[1] === 'TYPE') {
      if (typed.has(name)) throw fail('gives a type twice');
      if (!TYPES.includes(comment[3]!)) throw fail('gives an unknown type');
      typed.set(name, comment[3]!);
    }
    if (sample === null) continue;
    if (!typed.has(name)) throw fail('comes before its type');
    const labels = parseLabels(sample[2] ?? '');
    if (labels === undefined) throw fail('has labels that are none');
    if (!/^([+-]?(\d+(\.\d*)?([eE][+-]?\d+)?|Inf)|NaN)$/.test(sample[3]!)) throw fail('has no number');
    const key = name + JSON.stringify(Object.entries(labels).sort());
    if (seen.has(key)) throw fail('repeats a sample');
    seen.add(key);
    samples.push({ name, labels, value: Number(sample[3]) });
  }
  return samples;
}

function parseLabels(text: string): Record<string, string> | undefined {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const [, name, value] = LABEL.exec(text) ?? [];
    if (name === undefined || name in labels) return undefined;
    labels[name] = value!;
  }
  return labels;
}
