/** How answers are printed: as a table, as JSON or YAML, or as bare values for scripts. */
import { styleText } from 'node:util';
import { stringify } from 'yaml';

export const FORMATS = ['table', 'json', 'yaml', 'value'] as const;
export type Format = (typeof FORMATS)[number];

/** Where a command reads its surroundings from and prints to; a test passes its own. */
export interface Terminal {
  out: NodeJS.WritableStream;
  /** Progress and errors. */
  err: NodeJS.WritableStream;
  environment: NodeJS.ProcessEnv;
  cwd: string;
}

type Row = Record<string, unknown>;

export function renderList(rows: readonly Row[], columns: readonly string[], format: Format): string {
  const data = renderData(
    rows.map(row => pick(row, columns)),
    format,
  );
  if (data !== undefined) return data;
  const cells = rows.map(row => columns.map(column => formatValue(row[column], ', ')));
  if (format === 'value') return cells.map(row => `${row.join(' ')}\n`).join('');
  return rows.length === 0 ? '\n' : renderTable([...columns], cells);
}

export function renderOne(row: Row, columns: readonly string[] | undefined, format: Format): string {
  const names = columns ?? Object.keys(row);
  const data = renderData(pick(row, names), format);
  if (data !== undefined) return data;
  if (format === 'value') return names.map(name => `${formatValue(row[name], ' ')}\n`).join('');
  return renderTable(
    ['field', 'value'],
    names.map(name => [name, formatValue(row[name], '\n')]),
  );
}

/** For programs; undefined in a format for people. */
export function renderData(value: unknown, format: string): string | undefined {
  if (format === 'json') return `${JSON.stringify(value, null, 2)}\n`;
  return format === 'yaml' ? stringify(value) : undefined;
}

/** A cell may have several lines. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.flatMap(row => row[i]!.split('\n').map(line => line.length))),
  );
  const rule = `+${widths.map(width => '-'.repeat(width + 2)).join('+')}+\n`;
  const renderRow = (cells: readonly string[]) => {
    const lines = cells.map(cell => cell.split('\n'));
    const height = Math.max(...lines.map(l => l.length));
    return Array.from(
      { length: height },
      (_, y) => `|${lines.map((l, i) => ` ${(l[y] ?? '').padEnd(widths[i]!)} `).join('|')}|\n`,
    ).join('');
  };
  return rule + renderRow(head) + rule + rows.map(renderRow).join('') + rule;
}

/** A value in a cell: a list of `{id}` is shown by its ids, as the OpenStack client does. */
function formatValue(value: unknown, separator: string): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map(item => formatValue(idOf(item), separator)).join(separator);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function idOf(item: unknown): unknown {
  const keys = typeof item === 'object' && item !== null ? Object.keys(item) : [];
  return keys.length === 1 && keys[0] === 'id' ? (item as { id: unknown }).id : item;
}

function pick(row: Row, columns: readonly string[]): Row {
  return Object.fromEntries(columns.map(column => [column, row[column] ?? null]));
}

const COLOURS: Record<string, Parameters<typeof styleText>[0]> = {
  ACTIVE: 'green',
  ONLINE: 'green',
  NO_MONITOR: 'gray',
  OFFLINE: 'gray',
  DRAINING: 'yellow',
  DEGRADED: 'yellow',
  ERROR: 'red',
};

/** The status in its colour, where the stream shows colours and NO_COLOR does not forbid them. */
export function paintStatus(status: string, stream: NodeJS.WritableStream): string {
  const colour = status.startsWith('PENDING_') ? 'yellow' : COLOURS[status];
  return colour ? styleText(colour, status, { stream }) : status;
}
