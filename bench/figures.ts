/** What a benchmark comes to: samples reduced to figures, and the shape of a result file. */

export type Unit = 'ms' | '%' | 'heartbeats/s' | 'MiB' | 'requests/s' | 'requests' | 'x';

/** One row of a table. */
export interface Figure {
  name: string;
  unit: Unit;
  n: number;
  /** What it took when nothing else was at work, as far as that ever was the case. */
  min: number;
  p50: number;
  p95: number;
  max: number;
  /** What the project aims at, in the same unit, for the p50. */
  aim?: number;
  /** More is better: the aim is a floor. */
  more_is_better?: true;
}

/** A table of a result, in the order of the file. */
export interface Table {
  title: string;
  /** How the figures were taken. */
  note?: string;
  figures: Figure[];
}

export interface Machine {
  cpu: string;
  cores: number;
  memory_gib: number;
  kernel: string;
  system: string;
  /** Of one minute, before the first run: above the number of cores, others were at work. */
  load_at_start: number;
}

export interface Versions {
  ottavia: string;
  node: string;
  haproxy: string;
}

/** What is written to `results/<name>.json`. */
export interface Result {
  name: string;
  title: string;
  command: string;
  measured_at: string;
  machine: Machine;
  versions: Versions;
  tables: Table[];
  /** A sentence made from what was measured. */
  remark?: string;
}

/** The least sample that is not smaller than this share of all (nearest rank). */
export function percentile(sorted: readonly number[], share: number): number {
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new Error('Cannot take a percentile of nothing');
  return value;
}

/** Throws when there is no sample: a figure of nothing is none. */
export function toFigure(
  name: string,
  unit: Unit,
  samples: readonly number[],
  more: Pick<Figure, 'aim' | 'more_is_better'> = {},
): Figure {
  if (samples.length === 0) throw new Error(`Cannot make the figure "${name}": there is no sample`);
  const sorted = samples.toSorted((a, b) => a - b);
  return {
    ...{ name, unit, n: sorted.length },
    ...{
      min: round(sorted[0]!),
      p50: round(percentile(sorted, 0.5)),
      p95: round(percentile(sorted, 0.95)),
      max: round(sorted.at(-1)!),
    },
    ...more,
  };
}

/** Samples that belong to named rows which not every run has. */
export class Samples {
  readonly #rows = new Map<string, number[]>();

  add(name: string, value: number): void {
    const row = this.#rows.get(name);
    if (row) row.push(value);
    else this.#rows.set(name, [value]);
  }

  /** In the order in which the names were first seen. */
  figures(unit: Unit, aims: Record<string, number> = {}): Figure[] {
    return [...this.#rows].map(([name, samples]) =>
      toFigure(name, unit, samples, aims[name] === undefined ? {} : { aim: aims[name] }),
    );
  }

  get(name: string): readonly number[] {
    return this.#rows.get(name) ?? [];
  }
}

/** Three significant digits, and no more than the clock can tell. */
const round = (value: number): number =>
  Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
