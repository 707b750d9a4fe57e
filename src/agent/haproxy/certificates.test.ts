import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planWithCertificates, withCertificates } from './certificates.ts';
import type { RuntimeCommand } from './plan.ts';

/** What users asked for: the content of each certificate, the default one first, and that of the servers of one pool. */
interface Wish {
  lists: Record<string, string[]>;
  servers: string[];
  server: string;
  authorities: string;
}

/** Like the controller: a file has the name of its content. */
const nameOf = (content: string): string => `/certs/${content}.pem`;

function build({ lists, servers, server, authorities }: Wish) {
  const files = new Map<string, string>();
  const file = (content: string) => {
    files.set(nameOf(content), `-----BEGIN-----\r\n${content}\n\n-----END-----\n`);
    return nameOf(content);
  };
  const frontends = Object.entries(lists).map(([name, contents]) => {
    files.set(`/certs/${name}.pem`, `${[...new Set(contents)].map(file).join('\n')}\n`);
    return `frontend ${name}\n    bind 10.0.0.1:443 ssl crt-list /certs/${name}.pem ca-file ${file(authorities)} verify required\n`;
  });
  const lines = servers.map(
    name => `    server ${name} 10.0.0.2:80 weight 1 ssl crt ${file(server)} verify none\n`,
  );
  const text = [...frontends, `backend p:l\n    balance roundrobin\n${lines.join('')}`].join('\n');
  return { text, read: (path: string) => files.get(path) };
}

/** As much of haproxy as matters: what is loaded under which path. */
class Haproxy {
  readonly certificates = new Map<string, string>();
  readonly lists = new Map<string, string[]>();
  readonly servers = new Map<string, string>();
  readonly #pending = new Map<string, string>();

  load({ text, read }: ReturnType<typeof build>): void {
    for (const all of [this.certificates, this.lists, this.servers]) all.clear();
    const load = (path: string) => this.certificates.set(path, read(path)!.trim());
    for (const [, list] of text.matchAll(/crt-list (\S+)/g)) {
      this.lists.set(list!, read(list!)!.trim().split('\n'));
      this.lists.get(list!)!.forEach(load);
    }
    for (const [, server, path] of text.matchAll(/server (\S+) .*? crt (\S+)/g)) {
      this.servers.set(server!, path!);
      load(path!);
    }
  }

  /** Throws what haproxy would refuse. */
  run({ command, payload }: RuntimeCommand): void {
    const check = (isPossible: boolean) => {
      if (!isPossible) throw new Error(`haproxy refuses: ${command}`);
    };
    const [verb, , kind, path, more] = command.split(' ') as [string, string, string, string, string];
    if (verb === 'add' && command.startsWith('add server')) {
      const certificate = / crt (\S+)/.exec(command)![1]!;
      check(this.certificates.has(certificate));
      this.servers.set(kind.split('/')[1]!, certificate);
    } else if (command.startsWith('set server') || command.startsWith('enable health')) return;
    else if (verb === 'new') {
      check(!this.certificates.has(path));
      this.certificates.set(path, '');
    } else if (verb === 'set') {
      check(this.certificates.has(path));
      expect(payload).not.toMatch(/\n\s*\n|\r/);
      this.#pending.set(path, payload!);
    } else if (verb === 'commit') this.certificates.set(path, this.#pending.get(path)!);
    else if (verb === 'add') {
      check(this.certificates.has(more));
      this.lists.get(path)!.push(more);
    } else if (verb === 'del' && kind === 'crt-list') {
      const list = this.lists.get(path)!;
      check(list.indexOf(more) > 0);
      list.splice(list.indexOf(more), 1);
    } else if (verb === 'del' && kind === 'cert') {
      const used = [...this.lists.values(), [...this.servers.values()]].flat();
      check(!used.includes(path));
      this.certificates.delete(path);
    } else throw new Error(`haproxy has no such command: ${command}`);
  }

  /** What clients and members are shown. */
  shown() {
    const content = (path: string) => this.certificates.get(path)!.replaceAll(/\s|-----\w+-----/g, '');
    const lists = [...this.lists].map(([list, [first, ...rest]]) => {
      return [list, content(first!), ...rest.map(content).sort()];
    });
    return { lists: lists.sort(), servers: [...this.servers].map(([, path]) => content(path)) };
  }
}

function shownBy({ lists, servers, server }: Wish) {
  const distinct = (contents: string[]) => [...new Set(contents)];
  const all = Object.entries(lists).map(([name, contents]) => {
    const [first, ...rest] = distinct(contents);
    return [`/certs/${name}.pem`, first, ...rest.sort()];
  });
  return { lists: all.sort(), servers: servers.map(() => server) };
}

/** Mostly of their own: what is used twice is mostly left to a reload. */
const oneOf = (letters: string) => fc.constantFrom(...letters);
const wish: fc.Arbitrary<Wish> = fc.record({
  lists: fc.record({
    one: fc.array(oneOf('abcdefghij'), { minLength: 1, maxLength: 4 }),
    two: fc.array(oneOf('aklmnop'), { minLength: 1, maxLength: 2 }),
  }),
  servers: fc.subarray(['s', 't'], { minLength: 1 }),
  server: oneOf('akqrst'),
  authorities: fc.constantFrom('x', 'x', 'x', 'a'),
});

const first: Wish = { lists: { one: ['a', 'b'] }, servers: ['s'], server: 'c', authorities: 'x' };

/** The plan for a haproxy that was started with the one and is to serve the other. */
function planFrom(before: Wish, after: Wish) {
  const [old, next] = [build(before), build(after)];
  const running = withCertificates(old.text, old.read);
  const wanted = withCertificates(next.text, next.read);
  return planWithCertificates(running, wanted, next.read).plan;
}

describe('what haproxy is told', () => {
  test('leads to what was asked for, whatever came before', () => {
    let runtime = 0;
    fc.assert(
      fc.property(fc.array(wish, { minLength: 2, maxLength: 8 }), wishes => {
        const haproxy = new Haproxy();
        let running: string | undefined;
        for (const each of wishes) {
          const built = build(each);
          const wanted = withCertificates(built.text, built.read);
          const next = running && planWithCertificates(running, wanted, built.read);
          try {
            if (!next || next.plan.kind === 'reload') throw new Error('reload');
            if (next.plan.kind === 'runtime') for (const command of next.plan.commands) haproxy.run(command);
            runtime++;
            running = next.text;
            // A server that goes is only in maintenance.
            for (const server of haproxy.servers.keys())
              if (!each.servers.includes(server)) haproxy.servers.delete(server);
          } catch {
            haproxy.load(built);
            running = wanted;
          }
          const { lists, servers } = haproxy.shown();
          expect({ lists, servers: servers.sort() }).toEqual(shownBy(each));
        }
      }),
      { numRuns: 2000 },
    );
    expect(runtime).toBeGreaterThan(1000);
  });

  test.each<[string, Partial<Wish>, string]>([
    ['nothing', {}, 'nothing'],
    ['the default certificate', { lists: { one: ['d', 'b'] } }, 'runtime'],
    ['another one', { lists: { one: ['a', 'd'] } }, 'runtime'],
    ['one more', { lists: { one: ['a', 'b', 'd', 'c'] } }, 'runtime'],
    ['one less', { lists: { one: ['a'] } }, 'runtime'],
    ['that of the servers', { server: 'd' }, 'runtime'],
    ['a server that is new', { servers: ['s', 't'] }, 'runtime'],
    ['two change places', { lists: { one: ['b', 'a'] } }, 'reload'],
    ['the authorities', { authorities: 'y' }, 'reload'],
    ['a listener that is new', { lists: { one: ['a', 'b'], two: ['a'] } }, 'reload'],
  ])('%s: %j leads to %s', (_, changed, kind) => {
    expect(planFrom(first, { ...first, ...changed }).kind).toBe(kind);
  });

  test('a file of authorities that holds something else under the same name is read again', () => {
    const { text, read } = build(first);
    const other = (path: string) => (path === nameOf('x') ? 'other' : read(path));
    const { plan } = planWithCertificates(withCertificates(text, read), withCertificates(text, other), other);
    expect(plan).toMatchObject({ kind: 'reload', reason: 'a file of authorities or revocations differs' });
  });

  test('what is not known for sure is read again', () => {
    const { text, read } = build(first);
    const wanted = withCertificates(text, read);
    expect(planWithCertificates(text, wanted, read).plan.kind).toBe('reload');
    const nothing = withCertificates(text, () => undefined);
    expect(planWithCertificates(nothing, nothing, () => undefined).plan.kind).toBe('reload');
  });
});
