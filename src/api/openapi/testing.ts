/** Holds real answers against the schemas that the public document shows. */
import { Compile } from 'typebox/compile';
import type { Operation } from '../resource.ts';
import { FAULT } from './answers.ts';
import { answerSchema } from './document.ts';

const fault = Compile(FAULT);

/** What is wrong with an answer of the operation; empty when nothing is. */
export type Judge = (status: number, body: unknown) => string[];

/** One for each operation, made once. */
export function judges(operations: readonly Operation[]): ReadonlyMap<Operation, Judge> {
  return new Map(
    operations.map(operation => {
      const schema = answerSchema(operation);
      const validator = schema && Compile(schema);
      const judge: Judge = (status, body) => {
        if (status >= 400) return complaints(fault, body);
        if (status !== operation.status) return [`its status is not ${operation.status}`];
        if (validator) return complaints(validator, body);
        return body === '' ? [] : ['its body is not empty'];
      };
      return [operation, judge];
    }),
  );
}

function complaints(validator: ReturnType<typeof Compile>, body: unknown): string[] {
  if (validator.Check(body)) return [];
  return validator.Errors(body).map(({ instancePath, message }) => `${instancePath}: ${message}`);
}
