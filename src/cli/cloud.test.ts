import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findCloud } from './cloud.ts';

let cwd: string;
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'ottavia-cloud-'));
  mkdirSync(join(cwd, 'var'));
  mkdirSync(join(cwd, 'home/openstack'), { recursive: true });
  const password = {
    auth_url: 'http://here/identity/v3',
    username: 'me',
    password: 'p',
    project_name: 'mine',
  };
  const files = {
    'var/clouds.yaml': { ottavia: { auth: password, region_name: 'RegionOne' } },
    'home/openstack/clouds.yaml': {
      far: { auth: { ...password, auth_url: 'https://far/v3' }, cacert: '/ca.pem', interface: 'internalURL' },
      token: { auth_type: 'v3token', auth: { auth_url: 'http://t', token: 'tok', project_id: 'p1' } },
      open: { auth_type: 'none', auth: { endpoint: 'http://open:9876' }, verify: false },
      broken: { auth: { auth_url: 'http://x', username: 'me' } },
    },
  };
  for (const [file, clouds] of Object.entries(files))
    writeFileSync(join(cwd, file), JSON.stringify({ clouds }));
});
afterAll(() => rmSync(cwd, { recursive: true }));

const find = (cloud?: string, environment: NodeJS.ProcessEnv = {}) =>
  findCloud({ cwd, cloud, environment: { XDG_CONFIG_HOME: join(cwd, 'home'), ...environment } });

describe('findCloud()', () => {
  test("takes the standalone system's file when nothing is said", () => {
    expect(find()).toMatchObject({
      region: 'RegionOne',
      interface: 'public',
      auth: {
        type: 'password',
        url: 'http://here/identity/v3',
        user: { name: 'me' },
        userDomain: { id: 'default' },
      },
    });
  });

  test('takes the cloud that is named, wherever its file is', () => {
    expect(find('far')).toMatchObject({ interface: 'internal', tls: { caFile: '/ca.pem', verify: true } });
    expect(find(undefined, { OS_CLOUD: 'token' }).auth).toMatchObject({
      type: 'token',
      project: { id: 'p1' },
    });
    expect(find('open')).toMatchObject({
      endpoint: 'http://open:9876',
      auth: { type: 'none' },
      tls: { verify: false },
    });
  });

  test('OS_* variables win over files, a named cloud over both', () => {
    const environment = {
      OS_AUTH_URL: 'http://env',
      OS_USERNAME: 'u',
      OS_PASSWORD: 'p',
      OS_USER_DOMAIN_NAME: 'D',
    };
    expect(find(undefined, environment).auth).toMatchObject({ url: 'http://env', userDomain: { name: 'D' } });
    expect(find('far', environment).auth).toMatchObject({ url: 'https://far/v3' });
    expect(find(undefined, { OS_AUTH_TYPE: 'none', OS_ENDPOINT: 'http://e' }).endpoint).toBe('http://e');
  });

  test('says what is missing and where it looked', () => {
    expect(() => find('broken')).toThrow(/clouds.yaml \(broken\): it has no password/);
    expect(() => find('nowhere')).toThrow(/Cannot find cloud nowhere: .*var\/clouds.yaml/);
  });

  test('never prints a password', () => {
    expect(JSON.stringify(find())).not.toContain('"p"');
  });
});
