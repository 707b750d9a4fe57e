/** Finds the operation that a path and a method ask for, under all the spellings that Octavia serves. Source: contract api.md 1.3. */
import { Fault } from '../lib/errors.ts';
import type { Operation } from './resource.ts';

export interface Match {
  operation: Operation;
  params: Record<string, string>;
}

/** The path is there, and the method is not. */
export class NotAllowed extends Fault {
  readonly methods: readonly string[];
  constructor(method: string, methods: readonly string[]) {
    super('not-allowed', `The method ${method} is not allowed here: the path has ${methods.join(', ')}.`);
    this.methods = methods;
  }
}

interface Route {
  segments: readonly string[];
  operations: Operation[];
}

/** Our own table and not the server's: each path has a dozen spellings, and 405 and 400 need to know its neighbours. */
export class Router {
  readonly #routes: Route[] = [];

  constructor(operations: readonly Operation[]) {
    for (const [path, group] of Map.groupBy(operations, operation => operation.path))
      this.#routes.push({ segments: path.split('/').slice(1), operations: group });
  }

  /**
   * `path` is what follows the version. Returns undefined when there is no such path; throws `not-allowed` for a method
   * that it does not have, and `invalid` for one that lacks the id.
   */
  find(method: string, path: string): Match | undefined {
    const segments = segmentsOf(path);
    for (const route of this.#routes) {
      const params = match(route.segments, segments);
      if (!params) continue;
      const operation = route.operations.find(o => o.method === method);
      if (operation) return { operation, params };
      throw this.#refusal(route, method);
    }
    return undefined;
  }

  #refusal(route: Route, method: string): Fault {
    const methods = route.operations.map(operation => operation.method);
    // A collection's path is an item's without its id.
    if (methods.includes('POST') && (method === 'PUT' || method === 'DELETE'))
      return new Fault('invalid', 'Missing argument: the id of the object must be in the path.');
    return new NotAllowed(method, methods);
  }
}

/** A slash at the end, `.json` at the end, and `lbaas` at the beginning make no difference. */
export function segmentsOf(path: string): string[] {
  const segments = path.split('/').filter((segment, i, all) => segment !== '' || i < all.length - 1);
  if (segments[0] === 'lbaas') segments.shift();
  const last = segments.pop();
  return last === undefined ? [] : [...segments, last.replace(/\.json$/, '')];
}

function match(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [i, part] of pattern.entries()) {
    const segment = segments[i]!;
    if (part.startsWith(':')) params[part.slice(1)] = segment;
    else if (part !== segment) return undefined;
  }
  return params;
}
