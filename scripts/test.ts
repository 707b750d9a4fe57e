/** `npm test`: type check, lint and format, then all tests; nothing stops at the first failure, so one run shows all. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TALLY_FILE } from '../test/reporter.ts';
import { addTallies, type Tally, tallyLines } from '../test/tally.ts';

/** Of a runner; several times what it takes on two cores that nobody else uses. */
const TIME_LIMIT_MS = 3_600_000;
/** For a runner that has reported and should end by itself; vitest waits 10 s for its workers. */
const GRACE_MS = 60_000;
const DRAIN_MS = 1000;
const root = join(import.meta.dirname, '..');
const directory = mkdtempSync(join(tmpdir(), 'ottavia-test-'));
/** Colours for people only; what reads a pipe gets plain text. */
const COLOURS: NodeJS.ProcessEnv = process.stdout.isTTY ? {} : { NO_COLOR: '1', FORCE_COLOR: undefined };
const running = new Set<ChildProcess>();

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const child of running) child.kill(signal);
  });
}

interface Outcome {
  /** null when a signal ended it. */
  code: number | null;
  output: string;
}

interface RunOptions {
  env?: NodeJS.ProcessEnv;
  /** Passes the output on while it runs, instead of returning it. */
  live?: boolean;
  /** Says that the program has done its work: it is given a while to end, and then ended. */
  isDone?: () => boolean;
}

/** Runs a program of node_modules/.bin. */
function run(program: string, args: string[], { env, live, isDone }: RunOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'node_modules/.bin', program), ...args], {
      cwd: root,
      env: { ...process.env, ...COLOURS, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIME_LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    running.add(child);
    let output = '';
    const take = (text: string) => {
      if (live) process.stdout.write(text);
      else output += text;
    };
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    let doneSince: number | undefined;
    const watch = setInterval(() => {
      if (!isDone?.()) return;
      doneSince ??= performance.now();
      if (performance.now() - doneSince > GRACE_MS) child.kill('SIGKILL');
    }, 1000);
    child.once('error', reject);
    child.once('exit', code => {
      clearInterval(watch);
      running.delete(child);
      // What a test left running may hold the pipe for ever: what is in it now is taken, and no more.
      const finish = () => {
        child.stdout.destroy();
        child.stderr.destroy();
        resolve({ code, output });
      };
      const limit = setTimeout(finish, DRAIN_MS);
      child.once('close', () => {
        clearTimeout(limit);
        resolve({ code, output });
      });
    });
  });
}

/** A check passes or fails as a whole and counts as one. */
async function check(name: string, program: string, args: string[]): Promise<Tally> {
  const started = performance.now();
  const { code, output } = await run(program, args);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (code === 0) {
    console.log(`✓ ${name} (${seconds} s)`);
    return { passed: 1, failed: [], skipped: [] };
  }
  console.log(`✗ ${name} (${seconds} s)\n${output}`);
  return { passed: 0, failed: [name], skipped: [] };
}

/** One project of vitest.config.ts in a vitest of its own. */
async function tests(project: string, args: string[], live: boolean): Promise<Tally> {
  const file = join(directory, `${project}.json`);
  const options = [
    'run',
    '--project',
    project,
    '--maxWorkers',
    '1',
    '--passWithNoTests',
    '--reporter',
    './test/reporter.ts',
  ];
  const { code, output } = await run('vitest', [...options, ...args], {
    env: { [TALLY_FILE]: file },
    live,
    isDone: () => existsSync(file),
  });
  process.stdout.write(output);
  let tally: Tally;
  try {
    tally = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    // The runner died before it could write; its own words stand above.
    return {
      passed: 0,
      failed: [`the ${project} tests did not come to their end (exit code ${code})`],
      skipped: [],
    };
  }
  if (code === null) {
    tally.failed.push(`the ${project} tests left something running that kept them from ending`);
  } else if (code !== 0 && tally.failed.length === 0) {
    tally.failed.push(`the ${project} tests ended with code ${code}`);
  }
  return tally;
}

const filters = process.argv.slice(2);
// Two at a time: one worker of each project fills the two cores that the limits in the tests are made for.
const checks = await Promise.all([
  check('types (tsc)', 'tsc', ['-p', '.', '--pretty', 'false']),
  check('lint and format (biome)', 'biome', ['check', '--colors=off', '--error-on-warnings']),
]);
const projects = await Promise.all([tests('unit', filters, true), tests('host', filters, false)]);
rmSync(directory, { recursive: true, force: true });

const tally = addTallies([...checks, ...projects]);
const unexplained = tally.skipped.filter(skip => skip.reason === null);
if (unexplained.length > 0)
  tally.failed.push(...unexplained.map(skip => `skipped without a reason: ${skip.name}`));
if (projects.every(project => project.passed + project.failed.length + project.skipped.length === 0))
  tally.failed.push(`no test was found${filters.length > 0 ? ` for ${filters.join(' ')}` : ''}`);
console.log(`\n${tallyLines(tally).join('\n')}`);
process.exitCode = tally.failed.length > 0 ? 1 : 0;
