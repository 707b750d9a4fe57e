/** The programs of one installation as processes of their own, each at work when its start returns. */
import { OttaviaProcess } from '../ottavia-process.ts';

export type Lines = { program?: string; msg: string }[];

/** Returns when it is at work; rejects with what it printed when it ends before. */
export async function startProgramProcess(kind: string, file: string): Promise<OttaviaProcess> {
  const program = new OttaviaProcess([kind, '--config-file', file]);
  const { promise, resolve, reject } = Promise.withResolvers<OttaviaProcess>();
  program.child.stderr!.on('data', () => {
    if (program.stderr.includes('"msg":"ready')) resolve(program);
  });
  void program.ended.then(({ code, stderr }) =>
    reject(new Error(`${kind} ended with ${code} before it was ready: ${stderr}`)),
  );
  return promise;
}

/** What it has logged, in whole lines. */
export const linesOf = ({ stderr }: { stderr: string }): Lines =>
  stderr
    .split('\n')
    .slice(0, -1)
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line));
