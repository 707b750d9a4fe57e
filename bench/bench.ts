/** `npm run bench`: measures, writes `bench/results/<name>.json` and renders the page beside it; leaves nothing else behind. */
import { parseArgs } from 'node:util';
import { errorChain } from '../src/lib/errors.ts';
import { extendPath } from '../src/main/start-checks.ts';
import { agentStart } from './agent-start.ts';
import { apiLoad } from './api-load.ts';
import type { Bench } from './bench-types.ts';
import { createNoop } from './create-noop.ts';
import { dataplane } from './dataplane.ts';
import { failover } from './failover.ts';
import type { Result } from './figures.ts';
import { firstAnswer } from './first-answer.ts';
import { heartbeats } from './heartbeats.ts';
import { describeMachine, describeVersions } from './machine.ts';
import { memberChange } from './member-change.ts';
import { memory } from './memory.ts';
import { RESULTS, writePage, writeResult } from './report.ts';

const BENCHES: readonly Bench[] = [
  createNoop,
  firstAnswer,
  memberChange,
  apiLoad,
  agentStart,
  memory,
  dataplane,
  heartbeats,
  failover,
];

const USAGE = `Usage: npm run bench -- [name …] [--runs N] [--cpu-prof DIRECTORY] [--dry]

${BENCHES.map(({ name, title, defaultRuns }) => `  ${name.padEnd(14)} ${title} (${defaultRuns} runs)`).join('\n')}

Without a name all are run. --cpu-prof writes a CPU profile of the controller; --dry prints the result and writes no file.
`;

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interrupted.signal.aborted) return;
    process.stderr.write('\nremoving what was made\n');
    interrupted.abort(new Error(`interrupted by ${signal}`));
  });
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const options = readArgs(args);
  if (typeof options === 'string') {
    process.stderr.write(options);
    return 2;
  }
  extendPath(process.env);
  let failures = 0;
  for (const bench of options.benches) {
    if (interrupted.signal.aborted) break;
    try {
      if (bench.needsRoot && process.getuid?.() !== 0) {
        process.stdout.write(`${bench.name}: left out, because only root can build amphorae\n`);
        continue;
      }
      await measure(bench, options);
    } catch (error) {
      // The others are measured all the same.
      failures++;
      const isOurs = interrupted.signal.aborted && !(error instanceof SuppressedError);
      process.stderr.write(
        `${bench.name} ${isOurs ? 'interrupted; nothing is left' : `failed: ${errorChain(error)}`}\n`,
      );
    }
  }
  if (interrupted.signal.aborted) return 130;
  return failures > 0 ? 1 : 0;
}

interface Options {
  benches: readonly Bench[];
  runs: number | undefined;
  profileDirectory: string | undefined;
  dry: boolean;
}

/** A text is what is wrong. */
function readArgs(args: string[]): Options | string {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        runs: { type: 'string' },
        'cpu-prof': { type: 'string' },
        dry: { type: 'boolean', default: false },
      },
    });
    const unknown = positionals.filter(name => !BENCHES.some(bench => bench.name === name));
    if (unknown.length > 0) return `There is no benchmark ${unknown.join(', ')}.\n\n${USAGE}`;
    if (values.runs !== undefined && !/^[1-9]\d{0,4}$/.test(values.runs))
      return `--runs must be a number from 1 on, not ${values.runs}.\n\n${USAGE}`;
    return {
      benches: BENCHES.filter(bench => positionals.length === 0 || positionals.includes(bench.name)),
      runs: values.runs === undefined ? undefined : Number(values.runs),
      profileDirectory: values['cpu-prof'],
      dry: values.dry,
    };
  } catch (error) {
    return `${(error as Error).message}\n\n${USAGE}`;
  }
}

async function measure(bench: Bench, { runs: given, profileDirectory, dry }: Options): Promise<void> {
  const { signal } = interrupted;
  const runs = given ?? bench.defaultRuns;
  process.stdout.write(`${bench.name}: ${bench.title}, ${runs} runs\n`);
  const say = (line: string) => process.stdout.write(`  ${line}\n`);
  const machine = describeMachine();
  const versions = await describeVersions();
  const startedMs = performance.now();
  const { tables, remark } = await bench.run({ runs, signal, say, profileDirectory });
  const result: Result = {
    ...{ name: bench.name, title: bench.title },
    command: `npm run bench -- ${bench.name} --runs ${runs}`,
    measured_at: `${new Date().toISOString().slice(0, 19)}Z`,
    ...{ machine, versions, tables, remark },
  };
  for (const { title, figures } of tables) {
    say(title);
    for (const { name, unit, n, min, p50, p95, max, aim } of figures) {
      const aimed = aim === undefined ? '' : `   aim ${aim}`;
      say(
        `  ${name.padEnd(48)} min ${String(min).padStart(6)}  p50 ${String(p50).padStart(7)}  p95 ${String(p95).padStart(7)}  max ${String(max).padStart(7)} ${unit}  (n=${n})${aimed}`,
      );
    }
  }
  if (remark !== undefined) say(remark);
  if (!dry) {
    writeResult(result);
    writePage(BENCHES.map(({ name }) => name));
  }
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
  say(`${dry ? 'nothing written' : `written to ${RESULTS}`} (${seconds} s)`);
}
