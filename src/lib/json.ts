/** JSON as a request brings it. */
import { Fault } from './errors.ts';

/** undefined for a body without anything in it. Throws `invalid` with what the parser complains about. */
export function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Fault('invalid', `The body is not valid JSON: ${(cause as Error).message.toWellFormed()}`, {
      cause,
    });
  }
}
