/** Signals to processes that may end at any moment. */

/** Sends it where the process is still there; one that is gone is no error: whoever asked looks at the process afterwards. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
