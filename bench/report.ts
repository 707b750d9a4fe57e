/** Result files → the Markdown page beside them; the page is never written by hand. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Figure, Result, Table } from './figures.ts';

export const RESULTS = join(import.meta.dirname, 'results');

export function writeResult(result: Result): void {
  writeFileSync(join(RESULTS, `${result.name}.json`), `${JSON.stringify(result, null, 2)}\n`);
}

/** Renders every result file there is, in the order given; what is not named comes last. */
export function writePage(order: readonly string[]): void {
  const results = readdirSync(RESULTS)
    .filter(name => name.endsWith('.json'))
    .map(name => JSON.parse(readFileSync(join(RESULTS, name), 'utf8')) as Result);
  const place = (result: Result) => (order.indexOf(result.name) + order.length + 1) % (order.length + 1);
  results.sort((a, b) => place(a) - place(b));
  writeFileSync(join(RESULTS, 'README.md'), renderPage(results));
}

export function renderPage(results: readonly Result[]): string {
  return `# Figures

Written by \`npm run bench\` from the JSON files beside it; do not edit. min, p50, p95 and max are over n samples, by nearest
rank. An aim is held against the p50: ✔ reached, ✘ missed. Others may have been at work on the machine: the load of the minute
before is told with each result.

${aims(results)}
${results.map(renderResult).join('\n')}`;
}

/** All figures with an aim, in one place. */
function aims(results: readonly Result[]): string {
  const rows = results.flatMap(result =>
    result.tables.flatMap(table =>
      table.figures
        .filter(figure => figure.aim !== undefined)
        .map(
          figure => `| [${result.name}](#${result.name}) | ${figure.name} | ${cells(figure).join(' | ')} |`,
        ),
    ),
  );
  return `## Aims\n\n| | figure | n | min | p50 | p95 | max | aim |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |\n${rows.join('\n')}\n`;
}

function renderResult(result: Result): string {
  const { machine, versions } = result;
  return `## ${result.name}

${result.title}. \`${result.command}\`, ${result.measured_at}.
${machine.cpu}, ${machine.cores} cores, ${machine.memory_gib} GiB, ${machine.system}, Linux ${machine.kernel}, load before: ${machine.load_at_start.toFixed(1)}.
Ottavia ${versions.ottavia}, Node.js ${versions.node}, HAProxy ${versions.haproxy}.

${result.tables.map(renderTable).join('\n')}${result.remark === undefined ? '' : `\n${result.remark}\n`}`;
}

function renderTable({ title, note, figures }: Table): string {
  const hasAims = figures.some(figure => figure.aim !== undefined);
  const head = `| | n | min | p50 | p95 | max |${hasAims ? ' aim |' : ''}\n| --- | ---: | ---: | ---: | ---: | ---: |${hasAims ? ' --- |' : ''}`;
  const rows = figures.map(
    figure =>
      `| ${figure.name} | ${cells(figure)
        .slice(0, hasAims ? 6 : 5)
        .join(' | ')} |`,
  );
  return `### ${title}\n\n${note ? `${note}\n\n` : ''}${head}\n${rows.join('\n')}\n`;
}

function cells(figure: Figure): string[] {
  const { unit, n, min, p50, p95, max, aim, more_is_better } = figure;
  const verdict =
    aim === undefined ? '' : `${(more_is_better ? p50 >= aim : p50 <= aim) ? '✔' : '✘'} ${aim} ${unit}`;
  return [String(n), `${min} ${unit}`, `${p50} ${unit}`, `${p95} ${unit}`, `${max} ${unit}`, verdict];
}
