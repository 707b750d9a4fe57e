import { expect, test } from 'vitest';
import { renderEntry } from './logs.ts';

const NAMES = new Map([
  ['e37fd30e', 'web'],
  ['6f2720b3', 'a1'],
]);
const IDS = '5408b89a fd8f23df e37fd30e';
const WHEN = '22/Nov/2026:06:58:29.698';

test.each([
  [
    'a request',
    `${IDS} 10.0.0.9 36008 ${WHEN} "GET /a?b=1 HTTP/1.1" 200 217 77 - "" 3e0239c3:e37fd30e 6f2720b3 4 ----`,
    '10.0.0.9:36008         web  a1  GET /a?b=1 HTTP/1.1  200  4 ms  77 B in, 217 B out',
  ],
  [
    'a request that nobody could answer, over IPv6',
    `${IDS} 2001:db8::9 36008 ${WHEN} "GET / HTTP/1.1" 503 217 77 - "" e37fd30e <NOSRV> 0 SC--`,
    '[2001:db8::9]:36008    web  -  GET / HTTP/1.1  503  0 ms  77 B in, 217 B out  [SC]',
  ],
  [
    'a client with a certificate',
    `${IDS} 10.0.0.9 36008 ${WHEN} "GET / HTTP/2.0" 200 1 2 0 "/C=IT/CN=x y" 3e0239c3:e37fd30e 6f2720b3 4 --VN`,
    '10.0.0.9:36008         web  a1  GET / HTTP/2.0  200  4 ms  2 B in, 1 B out',
  ],
  [
    'a connection without requests',
    `${IDS} 10.0.0.9 36008 ${WHEN} - - 217 77 - "" 3e0239c3:e37fd30e other 4000 cD`,
    '10.0.0.9:36008         web  other  4000 ms  77 B in, 217 B out  [cD]',
  ],
  [
    'what haproxy says in other words',
    '10.0.0.9:36008 [22/Nov/2026] e37fd30e~/1: SSL handshake failure',
    '10.0.0.9:36008 [22/Nov/2026] e37fd30e~/1: SSL handshake failure',
  ],
])('%s', (_, text, shown) => {
  const entry = { time: '2026-11-22T06:58:29.698886', amphora_id: 'x', text };
  expect(renderEntry(entry, NAMES)).toBe(`2026-11-22 06:58:29.698  ${shown}`);
});
