/** What came of a run of tests and checks, and how it is printed: the last line is `N passed, N failed, N skipped`. */

export interface Tally {
  passed: number;
  /** The names of what failed. */
  failed: string[];
  /** A reason of null is a mistake of the test: whoever skips says why. */
  skipped: { name: string; reason: string | null }[];
}

/** One tally out of several. */
export function addTallies(tallies: Tally[]): Tally {
  return {
    passed: tallies.reduce((sum, tally) => sum + tally.passed, 0),
    failed: tallies.flatMap(tally => tally.failed),
    skipped: tallies.flatMap(tally => tally.skipped),
  };
}

/** The lines to print; tests skipped for one reason stand together under it. */
export function tallyLines(tally: Tally): string[] {
  const byReason = Map.groupBy(tally.skipped, skip => skip.reason ?? 'no reason given');
  return [
    ...[...byReason].flatMap(([reason, skips]) => [
      `skipped, because ${reason}:`,
      ...skips.map(skip => `  ${skip.name}`),
    ]),
    ...(tally.failed.length > 0 ? ['failed:', ...tally.failed.map(name => `  ${name}`)] : []),
    `${tally.passed} passed, ${tally.failed.length} failed, ${tally.skipped.length} skipped`,
  ];
}
