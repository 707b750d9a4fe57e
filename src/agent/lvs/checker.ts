/** The process that checks members from within the inner namespace: takes all checks as one line of JSON, tells each change as another. */
import { createInterface } from 'node:readline';
import type { Check } from './config-text.ts';
import { openProbe, type Probe } from './probes.ts';

/** `key` is its name; `isUp` what is taken for true before the first look. */
export interface CheckWish {
  key: string;
  isUp: boolean;
  check: Check;
}

export interface CheckChange {
  key: string;
  isUp: boolean;
}

/** Runs until its standard input ends, as it does with the agent. */
export function runChecker(): void {
  const running = new Map<string, Running>();
  const lines = createInterface(process.stdin);
  lines.on('line', line => {
    const wishes = JSON.parse(line) as CheckWish[];
    const wanted = new Map(wishes.map(wish => [`${wish.key} ${JSON.stringify(wish.check)}`, wish]));
    for (const [name, each] of running) {
      if (wanted.has(name)) continue;
      each.stop();
      running.delete(name);
    }
    for (const [name, wish] of wanted) {
      if (!running.has(name)) running.set(name, new Running(wish, tell));
    }
  });
  lines.on('close', () => process.exit(0));
}

const tell = (change: CheckChange) => process.stdout.write(`${JSON.stringify(change)}\n`);

/** One member's check, again and again. */
export class Running {
  readonly #wish: CheckWish;
  readonly #tell: (change: CheckChange) => void;
  readonly #probe: Probe;
  #isUp: boolean;
  /** Looks in a row that say the opposite of what is taken for true. */
  #against = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(wish: CheckWish, tell: (change: CheckChange) => void, probe = openProbe(wish.check)) {
    this.#wish = wish;
    this.#tell = tell;
    this.#probe = probe;
    this.#isUp = wish.isUp;
    void this.#look();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#probe.close();
  }

  async #look(): Promise<void> {
    const startedAt = performance.now();
    const { key, check } = this.#wish;
    // A look that fails is an answer: the member does not.
    const succeeded = await this.#probe.look().catch(() => false);
    if (this.#stopped) return;
    this.#against = succeeded === this.#isUp ? 0 : this.#against + 1;
    if (this.#against >= (this.#isUp ? check.fall : check.rise)) {
      this.#isUp = succeeded;
      this.#against = 0;
      this.#tell({ key, isUp: succeeded });
    }
    const pauseMs = Math.max(check.delayMs - (performance.now() - startedAt), 10);
    this.#timer = setTimeout(() => void this.#look(), pauseMs);
  }
}
