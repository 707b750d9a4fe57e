import { describe, expect, test } from 'vitest';
import { planChange } from './plan.ts';

interface Parts {
  balance?: string;
  servers?: string[];
  extra?: string[];
  timeout?: number;
}

const config = ({ balance = 'roundrobin', servers = [], extra = [], timeout = 50_000 }: Parts) => `# comment
global
    daemon
    maxconn 100

frontend l1
    bind 10.0.0.5:80
    default_backend p1:l1
    timeout client ${timeout}

backend p1:l1
    mode http
    balance ${balance}
${[...extra, ...servers].map(line => `    ${line}\n`).join('')}`;

const M1 = 'server m1 10.0.0.1:80 weight 1 check inter 5s fall 3 rise 2';
const M2 = 'server m2 10.0.0.2:80 weight 1 check inter 5s fall 3 rise 2';
const POOL = 'pool-max-conn -1 pool-purge-delay 5s';

const commandsOf = (before: Parts, after: Parts) => {
  const plan = planChange(config(before), config(after));
  return plan.kind === 'runtime' ? plan.commands.map(each => each.command) : plan.kind;
};

describe('changes that reach haproxy over its runtime socket', () => {
  test.each<[string, string[], string[], string[]]>([
    [
      'a server is added with its checks',
      [M1],
      [M1, M2],
      [
        `add server p1:l1/m2 10.0.0.2:80 weight 1 check inter 5s fall 3 rise 2 ${POOL}`,
        'enable health p1:l1/m2',
        'set server p1:l1/m2 state ready',
      ],
    ],
    [
      'a server is added without checks, in maintenance, and on IPv6',
      [],
      ['server m3 2001:db8::3:80 weight 5 disabled'],
      [`add server p1:l1/m3 2001:db8::3:80 weight 5 ${POOL}`],
    ],
    ['a server is removed', [M1, M2], [M1], ['set server p1:l1/m2 state maint']],
    ['a server is drained', [M1], [M1.replace('weight 1', 'weight 0')], ['set server p1:l1/m1 weight 0']],
    ['a server is weighted', [M1], [M1.replace('weight 1', 'weight 9')], ['set server p1:l1/m1 weight 9']],
    ['a server is disabled', [M1], [`${M1} disabled`], ['set server p1:l1/m1 state maint']],
    ['a server is enabled', [`${M1} disabled`], [M1], ['set server p1:l1/m1 state ready']],
    [
      'a server is re-addressed',
      [M1],
      [M1.replace('10.0.0.1:80', '10.0.0.9:81')],
      ['set server p1:l1/m1 addr 10.0.0.9 port 81'],
    ],
    [
      'a server is checked elsewhere',
      [`${M1} addr 10.0.0.8`],
      [`${M1} addr [2001:db8::8] port 81`],
      ['set server p1:l1/m1 check-addr 2001:db8::8', 'set server p1:l1/m1 check-port 81'],
    ],
    [
      'a server with TLS is added, checked elsewhere',
      [],
      [
        'server m1 10.0.0.1:80 weight 1 check check-ssl verify none inter 1s addr 10.0.0.8 ssl sni ssl_fc_sni',
      ],
      [
        `add server p1:l1/m1 10.0.0.1:80 weight 1 check check-ssl verify none inter 1s ssl sni ssl_fc_sni addr 10.0.0.8 ${POOL}`,
        'enable health p1:l1/m1',
        'set server p1:l1/m1 state ready',
      ],
    ],
    [
      'all servers are replaced: the new ones first',
      [M1],
      [M2],
      [
        `add server p1:l1/m2 10.0.0.2:80 weight 1 check inter 5s fall 3 rise 2 ${POOL}`,
        'enable health p1:l1/m2',
        'set server p1:l1/m2 state ready',
        'set server p1:l1/m1 state maint',
      ],
    ],
    [
      'one opens and one closes: the opening first',
      [M1, `${M2} disabled`],
      [`${M1} disabled`, M2],
      ['set server p1:l1/m2 state ready', 'set server p1:l1/m1 state maint'],
    ],
  ])('%s', (_, before, after, commands) => {
    expect(commandsOf({ servers: before }, { servers: after })).toEqual(commands);
  });

  test('a server of a pool with cookies gets one', () => {
    const extra = ['cookie SRV insert indirect nocache dynamic', 'dynamic-cookie-key p1'];
    const server = 'server m1 10.0.0.1:80 weight 1';
    expect(commandsOf({ extra }, { extra, servers: [server] })).toEqual([
      `add server p1:l1/m1 10.0.0.1:80 weight 1 ${POOL}`,
      'set dynamic-cookie-key backend p1:l1 p1',
      'set server p1:l1/m1 state ready',
    ]);
  });

  test('sources that are hashed consistently take a new server and its place', () => {
    const extra = ['hash-type consistent'];
    const server = 'server m1 10.0.0.1:80 weight 1 id 7';
    expect(commandsOf({ balance: 'source', extra }, { balance: 'source', extra, servers: [server] })).toEqual(
      [`add server p1:l1/m1 10.0.0.1:80 weight 1 id 7 ${POOL}`, 'set server p1:l1/m1 state ready'],
    );
  });

  test('says how many members it is about, each once', () => {
    const two = (...servers: string[]) => {
      const text = config({ servers });
      return `${text}\n${text.slice(text.indexOf('\nbackend')).replace('p1:l1', 'p1:l2')}`;
    };
    const plan = planChange(two(M1, M2), two(M2.replace('weight 1', 'weight 2'), M1.replace('m1', 'm3')));
    expect(plan).toMatchObject({ kind: 'runtime', reason: 'members: 1 added, 1 changed, 1 removed' });
  });

  test('a static algorithm takes a change of state', () => {
    const [before, after] = [{ servers: [M1] }, { servers: [`${M1} disabled`] }];
    expect(commandsOf({ balance: 'source', ...before }, { balance: 'source', ...after })).toEqual([
      'set server p1:l1/m1 state maint',
    ]);
  });
});

describe('nothing to do', () => {
  test.each<[string, Parts, Parts]>([
    ['the same text', { servers: [M1] }, { servers: [M1] }],
    ['another order of servers', { servers: [M1, M2] }, { servers: [M2, M1] }],
    ['other blanks', { servers: [M1] }, { servers: [M1.replaceAll(' ', '  ')] }],
    ['another comment', { servers: [M1] }, { servers: [M1], extra: ['# words'] }],
  ])('%s', (_, before, after) => {
    expect(commandsOf(before, after)).toBe('nothing');
  });
});

describe('changes that need a reload', () => {
  test.each<[string, Parts, Parts]>([
    ['a timeout', {}, { timeout: 1 }],
    ['a line of the backend', {}, { extra: ['option allbackups'] }],
    ['the algorithm', { servers: [M1] }, { servers: [M1], balance: 'leastconn' }],
    ['an option of a server', { servers: [M1] }, { servers: [M1.replace('fall 3', 'fall 2')] }],
    ['a server becomes a backup', { servers: [M1] }, { servers: [`${M1} backup`] }],
    ['a server with a cookie', {}, { servers: ['server m1 10.0.0.1:80 weight 1 cookie m1'] }],
    ['a server is checked where it serves again', { servers: [`${M1} port 81`] }, { servers: [M1] }],
    [
      'a server whose cookie is its own, although all have one',
      { extra: ['dynamic-cookie-key k'] },
      { extra: ['dynamic-cookie-key k'], servers: ['server m1 10.0.0.1:80 cookie m1'] },
    ],
    [
      'a server checked by a program',
      { extra: ['option external-check'] },
      { extra: ['option external-check'], servers: [M1] },
    ],
    ['a server of a static backend', { balance: 'source' }, { balance: 'source', servers: [M1] }],
    [
      'a weight of a static backend',
      { balance: 'source', servers: [M1] },
      { balance: 'source', servers: [M1.replace('weight 1', 'weight 2')] },
    ],
    [
      'the order of a static backend',
      { balance: 'source', servers: [M1, M2] },
      { balance: 'source', servers: [M2, M1] },
    ],
    [
      'a removal from a static backend',
      { balance: 'source', servers: [M1, M2] },
      { balance: 'source', servers: [M1] },
    ],
    ['a quoted word', { servers: [M1] }, { servers: [`${M1} cookie "a b"`] }],
    ['default-server', { servers: [M1] }, { servers: [M1, 'default-server check'] }],
    ['one name twice', { servers: [M1] }, { servers: [M1, M1] }],
  ])('%s', (_, before, after) => {
    expect(commandsOf(before, after)).toBe('reload');
  });

  test('a section that comes or goes, and nothing at all', () => {
    const more = `${config({})}\nbackend p2:l1\n    balance roundrobin\n`;
    expect(planChange(config({}), more).kind).toBe('reload');
    expect(planChange(more, config({})).kind).toBe('reload');
    expect(planChange('', config({})).kind).toBe('reload');
  });
});

test.each<[string, Parts, Parts]>([
  ['listener l1: timeout client 1', {}, { timeout: 1 }],
  ['pool p1 of listener l1: balance leastconn', {}, { balance: 'leastconn' }],
  ['pool p1 of listener l1: without option allbackups', { extra: ['option allbackups'] }, {}],
  ['pool p1 of listener l1: order of lines', { extra: ['a', 'b'] }, { extra: ['b', 'a'] }],
  [
    'pool p1 of listener l1: order of members',
    { balance: 'source', servers: [M1, M2] },
    { balance: 'source', servers: [M2, M1] },
  ],
  ['member m1 of pool p1: option backup differs', { servers: [M1] }, { servers: [`${M1} backup`] }],
  ['member m1 of pool p1: option cookie cannot be added at run time', {}, { servers: [`${M1} cookie m1`] }],
  [
    'member m1 of pool p1: it is checked by a program',
    { extra: ['option external-check'] },
    { extra: ['option external-check'], servers: [M1] },
  ],
  ['a configuration is not understood', {}, { servers: [M1, M1] }],
])('a reload is explained: %s', (reason, before, after) => {
  expect(planChange(config(before), config(after))).toEqual({ kind: 'reload', reason });
});

test('a listener that comes explains more than the limit that grows with it', () => {
  const more = `${config({}).replace('maxconn 100', 'maxconn 200')}\nfrontend l2\n    bind 10.0.0.5:81\n`;
  expect(planChange(config({}), more)).toMatchObject({ reason: 'listener l2 added' });
  expect(planChange(more, config({}))).toMatchObject({ reason: 'listener l2 removed' });
});
