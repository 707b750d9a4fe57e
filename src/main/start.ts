/** What commands that start programs share: their configuration files, the signal that ends them, and the sentence for a failure. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { errorChain } from '../lib/errors.ts';
import { DirectoryInUse } from './data-directory.ts';
import { SettingsError } from './settings.ts';

/** What a user reads before the program ends with a failure; no stack. */
export class StartError extends Error {}

export function readFiles(paths: readonly string[]): { path: string; text: string }[] {
  return paths.map(path => {
    try {
      return { path, text: readFileSync(path, 'utf8') };
    } catch (cause) {
      throw new StartError(`Cannot read configuration file ${path}: ${(cause as Error).message}`, { cause });
    }
  });
}

/** The first SIGTERM or SIGINT; a second one of either ends the process at once. */
export function firstSignal(): Promise<NodeJS.Signals> {
  const signals = ['SIGTERM', 'SIGINT'] as const;
  return new Promise(done => {
    const onSignal = (signal: NodeJS.Signals) => {
      for (const each of signals) process.off(each, onSignal);
      done(signal);
    };
    for (const each of signals) process.on(each, onSignal);
  });
}

/** The sentence for a failure; what the disk says is put into words with a remedy. */
export function describe(error: unknown, dataDir?: string): string {
  for (let e = error; e instanceof Error; e = e.cause) {
    const { code, errcode, syscall } = e as NodeJS.ErrnoException & { errcode?: number };
    if (code === 'EADDRINUSE' && syscall === 'listen')
      return `Cannot listen: ${e.message}. Stop the other program, or choose another port`;
    if (dataDir === undefined) continue;
    if (code === 'ENOSPC' || errcode === 13)
      return `Cannot write to data directory ${resolve(dataDir)}: the disk is full. Free some space and start again`;
    if (code === 'EROFS' || errcode === 8)
      return `Cannot write to data directory ${resolve(dataDir)}: it is read-only. Choose another with --data-dir`;
  }
  // These say it all themselves; the words of a library behind them would only hide the remedy.
  const isWhole =
    error instanceof StartError || error instanceof DirectoryInUse || error instanceof SettingsError;
  return isWhole ? error.message : errorChain(error);
}
