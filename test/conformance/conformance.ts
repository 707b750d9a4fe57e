/** `npm run test:conformance [pattern]`: the tests that others wrote for Octavia, unchanged, against a standalone system. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { clientObstacle } from '../clients/python-client.ts';
import { startCloud } from '../clients/standalone-cloud.ts';
import { PYTHON_PACKAGES, SUITES, type Suite } from './suites.ts';

/** One per core of the machines that the tests are made for. */
const PROCESSES = 2;
const [pattern = '', only = ''] = process.argv.slice(2);

interface Told {
  id: string;
  outcome: 'passed' | 'skipped' | 'failed';
  detail?: string;
}

async function runPart(suite: Suite, part: number, environment: NodeJS.ProcessEnv): Promise<Told[]> {
  const program = join(import.meta.dirname, 'run-tests.py');
  const args = ['-W', 'ignore', program, join(PYTHON_PACKAGES, suite.folder), PYTHON_PACKAGES];
  const leftOut = suite.leftOut?.map(([name]) => name.source).join('|') ?? '$^';
  const child = spawn('/usr/bin/python3', [...args, String(part), String(PROCESSES), pattern, leftOut], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', chunk => {
    errors = (errors + chunk).slice(-10_000);
  });
  const ended = new Promise<number | null>(resolve => child.once('close', resolve));
  const told: Told[] = [];
  let found: number | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const fact = JSON.parse(line);
    if (fact.outcome === 'found') found = fact.count;
    else {
      told.push(fact);
      if (fact.outcome === 'failed') console.log(`✗ ${fact.id}\n${fact.detail}`);
      else if (process.stdout.isTTY) process.stdout.write(`\r${told.length} of ${found} `);
    }
  }
  const code = await ended;
  if (code !== 0 || found === undefined)
    told.push({ id: `process ${part} ended with ${code}`, outcome: 'failed', detail: errors });
  return told;
}

/** Returns whether all that applies passed. */
async function runSuite(suite: Suite): Promise<boolean> {
  const obstacle = clientObstacle(...suite.modules);
  if (obstacle) {
    console.log(`${suite.name}: skipped, ${obstacle}`);
    return true;
  }
  const started = performance.now();
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-conformance-'));
  const settings = join(directory, 'octavia.conf');
  writeFileSync(settings, suite.settings(directory));
  const cloud = await startCloud('--config-file', settings);
  try {
    const { PATH } = process.env;
    const environment = { PATH, HOME: directory, ...suite.configure(cloud) };
    const parts = Array.from({ length: PROCESSES }, (_, part) => runPart(suite, part, environment));
    const told = (await Promise.all(parts)).flat();
    const skipped = told.filter(t => t.outcome === 'skipped');
    const failed = told.filter(t => t.outcome === 'failed');
    const seconds = Math.round((performance.now() - started) / 1000);
    const passed = told.length - failed.length - skipped.length;
    console.log(
      `${suite.name}: ${passed} passed, ${failed.length} failed, ${skipped.length} skipped, ${seconds} s`,
    );
    for (const { id } of failed) console.log(`  failed: ${id}`);
    for (const [name, because] of suite.leftOut ?? []) console.log(`  left out, ${name}: ${because}`);
    const unexplained = reportSkips(suite, skipped);
    return failed.length === 0 && unexplained === 0 && passed > 0;
  } finally {
    await cloud.stop();
    rmSync(directory, { recursive: true });
  }
}

/** Prints the skipped tests by their reasons; returns how many have none that we know. */
function reportSkips(suite: Suite, skipped: readonly Told[]): number {
  const reasons = new Map<string, Told[]>();
  for (const told of skipped) {
    const because = suite.skips.find(([says]) => says.test(`${told.id} ${told.detail}`))?.[1] ?? UNKNOWN;
    reasons.set(because, [...(reasons.get(because) ?? []), told]);
  }
  for (const [because, tests] of reasons) {
    console.log(`  ${tests.length} skipped: ${because}`);
    if (because === UNKNOWN) for (const { id, detail } of tests) console.log(`    ${id}: ${detail}`);
  }
  return reasons.get(UNKNOWN)?.length ?? 0;
}

const UNKNOWN = 'FOR A REASON THAT NOBODY HAS LOOKED AT';

let right = true;
for (const suite of SUITES.filter(({ name }) => name.includes(only)))
  right = (await runSuite(suite)) && right;
process.exitCode = right ? 0 : 1;
