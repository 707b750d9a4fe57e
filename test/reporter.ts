/** The reporter of `npm test`: vitest's own output, then what was skipped and why, and a last line to read by machine. */
import { writeFileSync } from 'node:fs';
import type { SerializedError } from 'vitest';
import {
  DefaultReporter,
  type TestCase,
  type TestModule,
  type TestRunEndReason,
  type TestSuite,
} from 'vitest/node';
import { type Tally, tallyLines } from './tally.ts';

/** Names the file that receives the tally as JSON; without it the tally is printed. */
export const TALLY_FILE = 'OTTAVIA_TEST_TALLY';

export default class Reporter extends DefaultReporter {
  override onTestRunEnd(
    modules: ReadonlyArray<TestModule>,
    unhandled: ReadonlyArray<SerializedError>,
    reason: TestRunEndReason,
  ): void {
    super.onTestRunEnd(modules, unhandled, reason);
    const tally = tallyOf(modules, unhandled);
    const file = process.env[TALLY_FILE];
    if (file) writeFileSync(file, JSON.stringify(tally));
    else process.stdout.write(`${tallyLines(tally).join('\n')}\n`);
  }
}

/** A file that cannot be loaded, a hook that fails and an error that nobody caught are failures as a failed test is. */
function tallyOf(modules: ReadonlyArray<TestModule>, unhandled: ReadonlyArray<SerializedError>): Tally {
  const tally: Tally = { passed: 0, failed: [], skipped: [] };
  for (const error of unhandled) tally.failed.push(`an error that no test caught: ${error.message}`);
  for (const module of modules) {
    const file = module.relativeModuleId;
    if (module.errors().length > 0) tally.failed.push(file);
    for (const suite of module.children.allSuites())
      if (suite.errors().length > 0) tally.failed.push(`${file} > ${suite.fullName}`);
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      const name = `${file} > ${test.fullName}`;
      if (state === 'passed') tally.passed += 1;
      else if (state === 'failed') tally.failed.push(name);
      else tally.skipped.push({ name, reason: reasonOf(test) });
    }
  }
  return tally;
}

/** The note of `skip('…')`, or what stands in brackets at the end of a skipped title: `carries traffic (needs root)`. */
function reasonOf(test: TestCase): string | null {
  const result = test.result();
  if (result.state === 'skipped' && result.note) return result.note;
  for (let task: TestCase | TestSuite | TestModule = test; ; task = task.parent) {
    if (task.type !== 'test' && task.errors().length > 0) {
      return `what it needs failed in "${task.type === 'suite' ? task.fullName : task.relativeModuleId}"`;
    }
    if (task.type === 'module') break;
    const bracketed = task.options.mode === 'skip' && /\(([^()]+)\)$/.exec(task.name);
    if (bracketed) return bracketed[1]!;
  }
  return test.options.mode === 'todo' ? 'still to be written' : null;
}
