import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { renderInit } from './instance-init.ts';

const SPEC = {
  directory: '/srv/o/instances/a',
  hostname: 'a',
  node: '/usr/bin/node',
  hidden: ['/etc/octavia'],
};

describe('the script of process 1', () => {
  test('is a script that a shell accepts, also with odd paths', () => {
    for (const directory of [SPEC.directory, "/srv/it's $HOME/`x`/a b"]) {
      const text = renderInit({ ...SPEC, directory, node: `${directory}/node` });
      execFileSync('sh', ['-n'], { input: text });
    }
  });

  test('refuses a path that an overlay cannot take', () => {
    for (const directory of ['/srv/a,b', '/srv/a:b', '/srv/a\\b']) {
      expect(() => renderInit({ ...SPEC, directory })).toThrow(`Cannot build an instance in ${directory}`);
    }
  });

  test('hides what the host has of an agent of its own', () => {
    expect(renderInit(SPEC)).toContain(
      "mount --bind '/srv/o/instances/a'/upper'/etc/octavia' root'/etc/octavia'",
    );
    expect(renderInit({ ...SPEC, hidden: [] })).not.toContain('/etc/octavia root');
  });
});
