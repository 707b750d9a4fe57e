import { describe, expect, test } from 'vitest';
import { lastValue, parseIni } from './ini.ts';

const plain = (text: string) =>
  Object.fromEntries([...parseIni(text)].map(([name, keys]) => [name, Object.fromEntries(keys)]));

describe('parseIni()', () => {
  test.each([
    ['[a]\nk = v', { a: { k: ['v'] } }],
    ['[a]\nk: v', { a: { k: ['v'] } }],
    ['[a]\nbind_host: 0.0.0.0', { a: { bind_host: ['0.0.0.0'] } }],
    ['[a]\nurl = http://h:1/', { a: { url: ['http://h:1/'] } }],
    ['[a]\nlist = [::1]:5555, [::2]:5555', { a: { list: ['[::1]:5555, [::2]:5555'] } }],
    ['[a]\nk = 1\nk = 2', { a: { k: ['1', '2'] } }],
    ['[a]\nk = one\n  two\n\tthree\nl = 4', { a: { k: ['one\ntwo\nthree'], l: ['4'] } }],
    ['# c\n; c\n[a]\n# c\nk = v # kept', { a: { k: ['v # kept'] } }],
    ['[a]\nk = " v "\nl = \'w\'\nm = "x', { a: { k: [' v '], l: ['w'], m: ['"x'] } }],
    ['[a]\nk =\n\n[b.c]\nk = v', { a: { k: [''] }, 'b.c': { k: ['v'] } }],
    ['[a]\nk = 1\n[b]\n[a]\nl = 2', { a: { k: ['1'], l: ['2'] }, b: {} }],
    ['k = v\r\n[a]\r\nl = w\r\n', { DEFAULT: { k: ['v'] }, a: { l: ['w'] } }],
    ['', {}],
  ])('reads %j', (text, expected) => {
    expect(plain(text)).toEqual(expected);
  });

  test.each([
    ['[a]\n  v', /line 2.*continuation/],
    ['[a]\nk = v\n\n  w', /line 4.*continuation/],
    ['[a', /line 1.*section/],
    ['[]', /line 1.*section/],
    ['[a]\nword', /line 2/],
    ['[a]\n= v', /line 2/],
  ])('refuses %j', (text, sentence) => {
    expect(() => parseIni(text)).toThrow(sentence);
  });

  test('the last of several values counts', () => {
    expect(lastValue(parseIni('[a]\nk = 1\nk = 2'), 'a', 'k')).toBe('2');
    expect(lastValue(parseIni('[a]'), 'b', 'k')).toBeUndefined();
  });
});
