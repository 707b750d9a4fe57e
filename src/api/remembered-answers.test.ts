import { expect, test } from 'vitest';
import { RememberedAnswers } from './remembered-answers.ts';

test('gives an answer again until the data changes', () => {
  let version: string | undefined = '1';
  const answers = new RememberedAnswers(() => version);
  const keep = answers.prepare('a');
  keep(Buffer.from('one'));
  expect(answers.find('a')?.toString()).toBe('one');
  expect(answers.find('b')).toBeUndefined();
  version = '2';
  expect(answers.find('a')).toBeUndefined();
  version = '1';
  expect(answers.find('a')).toBeUndefined();
});

test('does not keep what was made from data that changed meanwhile, nor anything where changes are not told', () => {
  let version: string | undefined = '1';
  const answers = new RememberedAnswers(() => version);
  const keep = answers.prepare('a');
  version = '2';
  keep(Buffer.from('old'));
  expect(answers.find('a')).toBeUndefined();
  version = undefined;
  answers.prepare('a')(Buffer.from('unknown'));
  expect(answers.find('a')).toBeUndefined();
});

test('forgets the oldest first', () => {
  const answers = new RememberedAnswers(() => '1', 10);
  for (const key of ['a', 'b', 'c']) answers.prepare(key)(Buffer.alloc(3));
  answers.prepare('d')(Buffer.alloc(3));
  expect(['a', 'b', 'c', 'd'].filter(key => answers.find(key))).toEqual(['b', 'c', 'd']);
  answers.prepare('e')(Buffer.alloc(11));
  expect(answers.find('e')).toBeUndefined();
});
