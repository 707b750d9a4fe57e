import { expect, test } from 'vitest';
import { parseTransportUrl } from './transport-url.ts';

const read = (url: string) => {
  const { hosts, vhost, query } = parseTransportUrl(url);
  const places = hosts.map(
    ({ host, port, username, password }) => `${username}:${password.reveal()}@${host}|${port}`,
  );
  return [...places, vhost, Object.fromEntries(query)];
};

test('is read as oslo.messaging reads it', () => {
  expect(read('rabbit://u:p@10.0.0.1:5673/v')).toEqual(['u:p@10.0.0.1|5673', 'v', {}]);
  expect(read('rabbit://u:p%40%2F@h1,[fd00::2]:1,w:q@h3:2//?ssl=1')).toEqual([
    ...['u:p@/@h1|undefined', 'u:p@/@fd00::2|1', 'w:q@h3|2', '/', { ssl: '1' }],
  ]);
  expect(read('rabbit://')).toEqual(['guest:guest@localhost|undefined', '/', {}]);
  expect(read('kombu://h/%2Fx')).toEqual(['guest:guest@h|undefined', '/x', {}]);
});

test.each([
  ['rabbit', 'it must look like rabbit://user:password@host:5672/'],
  ['kafka://secret:secret@h/', 'kafka is no broker that can be used; there is rabbit'],
  ['rabbit://a:secret@h,a:secret@[fd00::1/', 'host 2 must be user:password@host:port'],
  ['rabbit://a:secret@h:port/', 'host 1 must be user:password@host:port'],
])('what cannot be read is refused, and what may be secret is not told: %s', (url, sentence) => {
  expect(() => parseTransportUrl(url)).toThrow(sentence);
});
