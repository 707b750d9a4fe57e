import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { run } from '../../lib/command.ts';
import { type LvsListener, parseLvsConfig } from './config-text.ts';
import { observationOf, statusOfMember } from './engine.ts';
import { countFlows, parseFlows } from './flows.ts';
import { parseIpVs, parseIpVsStatistics, serviceKey } from './ipvs-text.ts';
import { renderTransaction, type TableParts } from './packet-rules.ts';
import { hashed, leastConnections, roundRobin } from './slots.ts';

const GOLDEN = join(import.meta.dirname, '../../dataplane/keepalived/testdata');
const ID = '00000001-0000-4000-8000-000000000115';
const MEMBER = (n: number) => `0000000${n}-0000-4000-8000-00000000000e`;
const golden = (name: string) => readFileSync(join(GOLDEN, `${name}.conf`), 'utf8');
const NOTHING: TableParts = { chains: [], sets: [] };
const render = (listener: LvsListener, isUp: (id: string) => boolean = () => true, present = NOTHING) =>
  renderTransaction({ listenerId: ID, listener, isUp, flowsOf: () => 0, isSriov: false }, present);

describe('a configuration is read', () => {
  test('members, checks and what they are told by comments', () => {
    const listener = parseLvsConfig(golden('monitor-tcp-elsewhere'));
    const [v4, v6] = listener.services;
    const times = { timeoutMs: 4000, delayMs: 5000, fall: 3, rise: 2 };
    expect(v4).toEqual({
      ...{ version: 4, vips: ['203.0.113.10'], port: 80, algorithm: 'wrr', persistence: undefined },
      members: [
        {
          ...{ id: MEMBER(1), address: '192.0.2.1', port: 8080, weight: 1, backup: false },
          check: { type: 'tcp', address: '192.0.2.99', port: 99, ...times },
        },
      ],
    });
    expect(v6).toMatchObject({ version: 6, vips: ['2001:db8::10'], members: [] });
    const [member] = parseLvsConfig(golden('monitor-sctp')).services[0]!.members;
    expect(member!.check).toEqual({ type: 'sctp', address: '192.0.2.1', port: 8080, ...times });
    const [served] = parseLvsConfig(golden('monitor-http-1-1')).services[0]!.members;
    expect(served!.check!.http).toEqual({ path: '/', host: 'www.example.org', codes: [[200, 200]] });
  });

  test.each([
    ['listener-disabled', { enabled: false, pool: undefined, services: [] }],
    ['pool-absent', { enabled: true, pool: undefined, services: [] }],
    ['pool-disabled', { enabled: true, pool: undefined, limit: undefined }],
    ['members-disabled-and-drained', { disabledMembers: [MEMBER(1)] }],
    ['least-connections-with-limit', { limit: 98 }],
  ])('%s', (name, expected) => expect(parseLvsConfig(golden(name))).toMatchObject(expected));

  test('as the original writes it, with a block for each code', () => {
    const blocks = '            url {\n              path /x\n              status_code 202\n            }\n';
    const text = golden('monitor-http').replaceAll('        HTTP_GET {\n', `        HTTP_GET {\n${blocks}`);
    const [member] = parseLvsConfig(text).services[0]!.members;
    expect(member!.check!.http!.codes).toContainEqual([202, 202]);
    expect(parseLvsConfig(golden('persistence-tuned-ipv6')).services[1]!.persistence!.mask).toBe(
      'ffff:ffff:ffff:0:0:0:0:0',
    );
  });

  test.each([
    ['192.0.2.1 8080 {', '192.0.2.1;drop 8080 {'],
    ['192.0.2.1 8080 {', '192.0.2.1 99999 {'],
    ['203.0.113.10 80', '203.0.113.10/8 80'],
    ['lb_algo wrr', 'lb_algo rr'],
    ['protocol UDP', 'protocol TCP'],
    ['weight 1', 'weight 1}'],
    ['# Configuration for Member', '# For Member'],
    ['\n}\n', '\n'],
  ])('%j as %j is refused', (from, to) => {
    expect(() => parseLvsConfig(golden('both-versions').replace(from, to))).toThrow();
  });
});

describe('packet rules', () => {
  test('an attacker who writes the configuration gets no word of his own into them', () => {
    const lines = golden('persistence-tuned').split('\n');
    const words = fc.string({ unit: fc.constantFrom(...' \t{}#;,"\'\\$@:.-/0a1'.split('')), maxLength: 10 });
    fc.assert(
      fc.property(fc.nat(lines.length - 1), fc.nat(4), words, (line, at, word) => {
        const attacked = [...lines];
        const cut = attacked[line]!.split(' ');
        cut.splice(Math.min(at + 4, cut.length), 1, word);
        attacked[line] = cut.join(' ');
        let listener: LvsListener;
        try {
          listener = parseLvsConfig(attacked.join('\n'));
        } catch {
          // Refused: nothing reaches the rules.
          return;
        }
        for (const rule of render(listener).text.trimEnd().split('\n')) {
          expect(rule).toMatch(
            /^(add|flush|delete) (table|counter|set|chain|rule) inet lvs-[\w-]+( [\w .:,;@&{}[\]-]+)?$/,
          );
        }
      }),
      { numRuns: 1000 },
    );
  });

  test.skipIf(process.getuid?.() !== 0)(
    'nft accepts those of every configuration, first and again (needs root)',
    async () => {
      const directory = mkdtempSync(join(tmpdir(), 'lvs-'));
      const file = join(directory, 'rules.nft');
      try {
        for (const name of readdirSync(GOLDEN)) {
          const listener = parseLvsConfig(golden(name.replace('.conf', '')));
          const first = render(listener);
          const later = render(listener, id => id !== MEMBER(1), first.parts);
          writeFileSync(file, first.text + later.text + render(listener, () => false, later.parts).text);
          await run('unshare', ['--net', 'nft', '-f', file]);
        }
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
  );

  test('who is not up has no chain, and is forgotten; who stands by is used when nobody else is left', () => {
    const listener = parseLvsConfig(golden('persistence'));
    const all = render(listener);
    expect(all.parts.sets).toContain(`p-${MEMBER(1)}`);
    const less = render(listener, id => id !== MEMBER(1), all.parts);
    expect(less.parts.chains).not.toContain(`m-${MEMBER(1)}`);
    expect(less.text).toContain(`delete set inet lvs-${ID} p-${MEMBER(1)}`);
    expect(less.text).not.toContain(`delete set inet lvs-${ID} p-${MEMBER(3)}`);

    const drained = parseLvsConfig(golden('members-disabled-and-drained'));
    expect(drained.services[0]!.members.map(member => member.backup)).toEqual([false, true]);
    expect(render(drained).text).toContain(`goto m-${MEMBER(3)}`);
    drained.services[0]!.members[0]!.weight = 1;
    expect(render(drained).text).not.toContain(`goto m-${MEMBER(3)}`);
    expect(render(drained, id => id === MEMBER(3)).text).toContain(`goto m-${MEMBER(3)}`);
  });
});

describe('slots', () => {
  const weights = fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 1, maxLength: 20 });
  const shareOf = (slots: readonly number[], owner: number) => slots.filter(each => each === owner).length;

  test.each([
    [
      [1, 1, 1],
      [0, 1, 2],
    ],
    [
      [50, 50],
      [0, 1],
    ],
    [
      [2, 1, 1],
      [0, 1, 2, 0],
    ],
    [
      [30, 10],
      [0, 0, 1, 0],
    ],
  ])('round robin by %j: %j', (given, slots) => expect(roundRobin(given)).toEqual(slots));

  test('round robin keeps to the weights, within a slot, and to a bounded length', () => {
    fc.assert(
      fc.property(weights, given => {
        const slots = roundRobin(given);
        expect(slots.length).toBeLessThanOrEqual(1024 + given.length);
        const total = given.reduce((sum, each) => sum + each, 0);
        given.forEach((weight, i) => {
          expect(Math.abs(shareOf(slots, i) - (slots.length * weight) / total)).toBeLessThan(
            slots.length / 50 + 1,
          );
        });
      }),
    );
  });

  test('least connections fill up who has fewest, and then keep to the weights', () => {
    expect(leastConnections([1, 1], [4, 0]).slice(0, 6)).toEqual([1, 1, 1, 1, 0, 1]);
    expect(leastConnections([3, 1], [0, 0]).slice(0, 4)).toEqual([0, 0, 0, 1]);
  });

  test('a hash ring is shared by weight, and moves nobody between members that stay', () => {
    const members = ['a', 'b', 'c'].map(key => ({ key, weight: key === 'c' ? 2 : 1 }));
    const before = hashed(members);
    const shares = members.map((_, i) => shareOf(before, i) / before.length);
    for (const [i, share] of [0.25, 0.25, 0.5].entries())
      expect(Math.abs(shares[i]! - share)).toBeLessThan(0.1);
    const after = hashed(members.slice(0, 2));
    before.forEach((owner, slot) => {
      if (owner < 2) expect(after[slot]).toBe(owner);
    });
  });
});

test('flows are counted by who answers', () => {
  const listing = `udp      17 29 src=10.0.0.9 dst=203.0.113.10 sport=4001 dport=80 [UNREPLIED] src=192.0.2.1 dst=10.0.0.3 sport=8080 dport=4001 mark=0 use=1
udp      17 119 src=10.0.0.9 dst=203.0.113.10 sport=4002 dport=80 src=192.0.2.1 dst=10.0.0.3 sport=8080 dport=4002 [ASSURED] mark=0 use=1
udp      17 29 src=2001:db8::9 dst=2001:db8::10 sport=39242 dport=80 src=2001:db8:0::a dst=2001:db8::3 sport=8080 dport=39242 mark=0 use=1
tcp      6 431999 ESTABLISHED src=10.0.0.9 dst=203.0.113.10 sport=4003 dport=80 src=192.0.2.1 dst=10.0.0.3 sport=8080 dport=4003 [ASSURED] mark=0 use=1
icmp     1 29 src=10.0.0.9 dst=203.0.113.10 type=8 code=0 id=1 src=203.0.113.10 dst=10.0.0.9 type=0 code=0 id=1 mark=0 use=1
`;
  const counts = countFlows(parseFlows(listing), parseLvsConfig(golden('both-versions')));
  expect([...counts]).toEqual([
    ['192.0.2.1 8080', 2],
    ['2001:db8:0:0:0:0:0:a 8080', 1],
  ]);
});

test('the table of IPVS and its counters, as a kernel that has it shows them', () => {
  const table = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  CB00710A:0050 wrr
  -> C0000209:1F90      Masq    1      9          0
UDP  CB00710A:0050 wrr persistent 360 FFFFFFFF
  -> C0000201:1F90      Masq    13     3          0
  -> C0000202:1F90      Masq    0      0          7
UDP  [2001:0db8:0000:0000:0000:0000:0000:0010]:0050 sh
  -> [2001:0db8:0000:0000:0000:0000:0000:000a]:1F90      Masq    1      2          0
`;
  const four = serviceKey('udp', '203.0.113.10', 80);
  const six = serviceKey('udp', '2001:db8::10', 80);
  expect(parseIpVs(table)).toEqual(
    new Map([
      [
        four,
        new Map([
          ['192.0.2.1 8080', 3],
          ['192.0.2.2 8080', 0],
        ]),
      ],
      [six, new Map([['2001:db8:0:0:0:0:0:a 8080', 2]])],
    ]),
  );
  const statistics = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
UDP  203.0.113.10:80                     5        6        7      800      900
  -> 192.0.2.1:8080                      5        6        7      800      900
UDP  [2001:db8::10]:80                   1        1        0       50        0
`;
  expect(parseIpVsStatistics(statistics)).toEqual(
    new Map([
      [four, { stot: 5, bin: 800, bout: 900 }],
      [six, { stot: 1, bin: 50, bout: 0 }],
    ]),
  );
});

// Source: contract heartbeat.md 3.
test.each([
  ['members-disabled-and-drained', () => true, 'UP', ['DRAIN', 'no check', 'MAINT']],
  ['monitor-udp-connect', () => true, 'UP', ['UP', 'UP', 'UP', 'UP']],
  ['monitor-udp-connect', (id: string) => id === MEMBER(2), 'UP', ['DOWN', 'DOWN', 'UP', 'DOWN']],
  ['monitor-udp-connect', () => false, 'DOWN', ['DOWN', 'DOWN', 'DOWN', 'DOWN']],
])('a heartbeat says of %s: pool %s, members %j', (name, isUp, pool, members) => {
  const listener = parseLvsConfig(golden(name));
  const seen = {
    ...{ listenerId: ID, counters: { bin: 1, bout: 2, stot: 3 }, conns: 4 },
    statusOf: (member: { id: string; weight: number }) => statusOfMember(member as never, isUp(member.id)),
  };
  const { listeners, pools } = observationOf(listener, seen);
  expect(listeners[ID]).toEqual({
    status: 'OPEN',
    conns: 4,
    counters: { bin: 1, bout: 2, stot: 3, ereq: 0 },
  });
  const shown = pools[listener.pool!]!;
  expect([shown.status, Object.values(shown.members)]).toEqual([pool, members]);
});

test('a listener without a pool is reported alone', () => {
  const seen = { listenerId: ID, counters: { bin: 0, bout: 0, stot: 0 }, conns: 0, statusOf: () => 'UP' };
  expect(observationOf(parseLvsConfig(golden('pool-absent')), seen).pools).toEqual({});
});
