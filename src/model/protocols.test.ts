import { describe, expect, test } from 'vitest';
import { HEALTH_MONITOR_TYPES } from './health-monitor.ts';
import { LISTENER_PROTOCOLS } from './listener.ts';
import { POOL_PROTOCOLS, SESSION_PERSISTENCE_TYPES } from './pool.ts';
import {
  canTunePersistence,
  canUseMonitor,
  canUsePersistence,
  canUsePool,
  LISTENER_FEATURES,
  portGroup,
} from './protocols.ts';

/** The rows of a table of contract api.md 17, written as there. */
function table(text: string): { columns: string[]; rows: Map<string, string[]> } {
  const lines = text
    .trim()
    .split('\n')
    .map(line =>
      line
        .split('|')
        .slice(1, -1)
        .map(cell => cell.trim()),
    );
  const [head, ...rows] = lines;
  return { columns: head!.slice(1), rows: new Map(rows.map(([name, ...cells]) => [name!, cells])) };
}

describe('combinations', () => {
  test('listener and pool', () => {
    const { columns, rows } = table(`
| listener \\ pool | HTTP | HTTPS | PROXY | PROXYV2 | TCP | UDP | SCTP |
| HTTP | ✔ | | ✔ | ✔ | | | |
| HTTPS | | ✔ | ✔ | ✔ | ✔ | | |
| TCP | ✔ | ✔ | ✔ | ✔ | ✔ | | |
| TERMINATED_HTTPS | ✔ | | ✔ | ✔ | | | |
| UDP | | | | | | ✔ | |
| SCTP | | | | | | | ✔ |
| PROMETHEUS | | | | | | | |`);
    expect([...rows.keys()].sort()).toEqual([...LISTENER_PROTOCOLS].sort());
    for (const listener of LISTENER_PROTOCOLS) {
      for (const pool of POOL_PROTOCOLS) {
        expect(canUsePool(listener, pool), `${listener} ${pool}`).toBe(
          rows.get(listener)![columns.indexOf(pool)] === '✔',
        );
      }
    }
  });

  test('pool and health monitor', () => {
    const { columns, rows } = table(`
| pool \\ type | HTTP | HTTPS | PING | TCP | TLS-HELLO | UDP-CONNECT | SCTP |
| stream | ✔ | ✔ | ✔ | ✔ | ✔ | 400 | 400 |
| packet | ✔ | 400 | 400 | ✔ | 400 | ✔ | ✔ |`);
    for (const pool of POOL_PROTOCOLS) {
      for (const type of HEALTH_MONITOR_TYPES) {
        const row = rows.get(pool === 'UDP' || pool === 'SCTP' ? 'packet' : 'stream')!;
        expect(canUseMonitor(pool, type), `${pool} ${type}`).toBe(row[columns.indexOf(type)] === '✔');
      }
    }
  });

  test('pool and session persistence', () => {
    for (const pool of POOL_PROTOCOLS) {
      const packet = pool === 'UDP' || pool === 'SCTP';
      expect(canTunePersistence(pool), pool).toBe(packet);
      for (const type of SESSION_PERSISTENCE_TYPES) {
        expect(canUsePersistence(pool, type), `${pool} ${type}`).toBe(!packet || type === 'SOURCE_IP');
      }
    }
  });
});

test('UDP and SCTP listeners have ports of their own', () => {
  expect(Object.fromEntries(LISTENER_PROTOCOLS.map(p => [p, portGroup(p)]))).toEqual({
    HTTP: 'TCP',
    HTTPS: 'TCP',
    TCP: 'TCP',
    TERMINATED_HTTPS: 'TCP',
    UDP: 'UDP',
    SCTP: 'SCTP',
    PROMETHEUS: 'TCP',
  });
});

test('SSL headers go with terminated TLS only, plain ones with HTTP too', () => {
  for (const protocol of LISTENER_PROTOCOLS) {
    const headers = LISTENER_FEATURES[protocol].insert_headers;
    expect(headers.includes('X-SSL-Client-CN'), protocol).toBe(protocol === 'TERMINATED_HTTPS');
    expect(headers.includes('X-Forwarded-For'), protocol).toBe(
      ['HTTP', 'TERMINATED_HTTPS'].includes(protocol),
    );
  }
});
