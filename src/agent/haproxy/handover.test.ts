import { expect, test } from 'vitest';
import { haproxyFiles } from '../config.ts';
import { doorSections } from './handover.ts';

const LB = '7d1ab9c2-02a1-4b57-a6a4-8f1cfb0a2f55';
const files = haproxyFiles({ base: '/b', certificates: '/c' } as Parameters<typeof haproxyFiles>[0], LB);
const configure = (limit: string, address: string, persistence: string) => `global
    daemon
    ${limit}
frontend f
    maxconn 7
    bind ${address}:80
backend b
    ${persistence}
`;
const TABLE = 'stick-table type ip size 10k peers p';
const addressesOf = (sections: string) => sections.match(/(?<=bind )\S*127\.\S+/g) ?? [];

test('there are doors of each family that clients come by', () => {
  const ipv4 = doorSections(files, LB, configure('maxconn 50000', '192.0.2.1', TABLE));
  const both = doorSections(files, LB, configure('maxconn 50000', '2001:db8::1', TABLE));
  expect(addressesOf(ipv4)).toHaveLength(3);
  expect(addressesOf(both)).toEqual([
    ...addressesOf(ipv4),
    ...[3, 4, 5].map(n => addressesOf(ipv4)[0]!.replace(/^(.*):9103$/, `ipv6@::ffff:$1:910${n + 3}`)),
  ]);
  expect(both.match(/ server d\d+ 127/g)).toHaveLength(6);
});

test('load balancers of one namespace have doors of their own', () => {
  const other = '7d1ab9c2-02a1-4b57-a6a4-8f1cfb0a2f56';
  const [own, others] = [LB, other].map(id =>
    addressesOf(doorSections(files, id, configure('', '192.0.2.1', TABLE))),
  );
  expect(own).not.toEqual(others);
});

test.each([
  ['nobody is kept together with a server', configure('maxconn 50000', '192.0.2.1', 'balance source')],
  ['few connections are allowed', configure('maxconn 1000', '192.0.2.1', TABLE)],
])('there is none where %s', (_, config) => {
  expect(doorSections(files, LB, config)).toBe('');
});
