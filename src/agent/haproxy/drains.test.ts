import { expect, test } from 'vitest';
import { parseDocument } from './document.ts';
import { type Drains, planDrains } from './drains.ts';

const NOW = 9000;
const SERVER = 'server m1 10.0.0.1:80';
const plan = (before: Drains, servers: string, running: string[], extra = '') =>
  planDrains(before, parseDocument(`backend p:l\n${extra}\n    ${servers}\n`)!, running, NOW);

test.each<[string, Drains, string, string[], Drains]>([
  ['a server that takes sessions has none', {}, `${SERVER} weight 1`, ['p:l/m1'], {}],
  ['weight 0 starts one', {}, `${SERVER} weight 0`, ['p:l/m1'], { 'p:l/m1': NOW }],
  ['being disabled starts one', {}, `${SERVER} weight 1 disabled`, ['p:l/m1'], { 'p:l/m1': NOW }],
  ['removal starts one', {}, '', ['p:l/m1'], { 'p:l/m1': NOW }],
  ['one that runs goes on', { 'p:l/m1': 5 }, `${SERVER} weight 0`, ['p:l/m1'], { 'p:l/m1': 5 }],
  ['also when the server is removed', { 'p:l/m1': 5 }, '', ['p:l/m1'], { 'p:l/m1': 5 }],
  ['also when a reload forgot the server', { 'p:l/m1': 5 }, '', [], { 'p:l/m1': 5 }],
  ['taking sessions again ends one', { 'p:l/m1': 5 }, `${SERVER} weight 1`, ['p:l/m1'], {}],
  ['one that has run down is not started again', { 'p:l/m1': 0 }, `${SERVER} weight 0`, [], { 'p:l/m1': 0 }],
  ['also while the server waits to be deleted', { 'p:l/m1': 0 }, '', ['p:l/m1'], { 'p:l/m1': 0 }],
  ['and is forgotten with the server', { 'p:l/m1': 0 }, '', [], {}],
])('clocks: %s', (_, before, servers, running, after) => {
  expect(plan(before, servers, running)).toEqual(after);
});

test.each(['cookie SRV insert', 'stick on src', 'stick match req.cook(x)'])(
  'with %s a weight of 0 starts no clock, but removal does',
  line => {
    expect(plan({}, `${SERVER} weight 0`, ['p:l/m1'], `    ${line}`)).toEqual({});
    expect(plan({}, `${SERVER} weight 0 disabled`, ['p:l/m1'], `    ${line}`)).toEqual({ 'p:l/m1': NOW });
    expect(plan({}, '', ['p:l/m1'], `    ${line}`)).toEqual({ 'p:l/m1': NOW });
  },
);
