import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errorChain } from '../../lib/errors.ts';
import { authorityContract } from './authority.contract.ts';
import { LocalAuthority } from './local.ts';

const DAY_MS = 86_400_000;
const AMPHORA = '3c5d7a52-5f0b-4c6e-9a0e-0d7f6f2b8a11';

authorityContract('LocalAuthority', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'authority-'));
  const directory = join(parent, 'certificates');
  return {
    authority: new LocalAuthority({ directory }),
    reopen: () => new LocalAuthority({ directory }),
    tearDown: async () => rmSync(parent, { recursive: true }),
  };
});

describe('LocalAuthority', () => {
  let parent: string;
  let directory: string;

  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'authority-'));
    directory = join(parent, 'certificates');
  });
  afterEach(() => rmSync(parent, { recursive: true }));

  test('keeps keys from other users and nothing else beside its files', async () => {
    await new LocalAuthority({ directory }).clientCa();
    const modes = Object.fromEntries(
      readdirSync(directory).map(name => [name, (statSync(join(directory, name)).mode & 0o777).toString(8)]),
    );
    expect(modes).toEqual({
      'client_ca.key': '600',
      'client_ca.pem': '644',
      'controller.pem': '600',
      'server_ca.key': '600',
      'server_ca.pem': '644',
    });
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(readdirSync(parent)).toEqual(['certificates']);
  });

  test('is one authority when many processes make it at once', async () => {
    const many = Array.from({ length: 8 }, () => new LocalAuthority({ directory }));
    expect(new Set(await Promise.all(many.map(each => each.clientCa()))).size).toBe(1);
    const cas = await Promise.all(many.map(async each => (await each.controllerCredentials()).serverCa));
    expect(new Set(cas).size).toBe(1);
    expect(readdirSync(parent)).toEqual(['certificates']);
  });

  test('passes the strict checks of openssl on both sides', async () => {
    const authority = new LocalAuthority({ directory });
    const { pem } = await authority.issueAgentCertificate(AMPHORA);
    writeFileSync(join(parent, 'server.pem'), pem.reveal());
    const verify = (ca: string, file: string, purpose: string) =>
      execFileSync('openssl', ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', ca, file], {
        cwd: parent,
        stdio: 'pipe',
      });
    verify('certificates/server_ca.pem', 'server.pem', 'sslserver');
    verify('certificates/client_ca.pem', 'certificates/controller.pem', 'sslclient');
    expect(() => verify('certificates/client_ca.pem', 'server.pem', 'sslserver')).toThrow();
    const text = execFileSync('openssl', ['x509', '-noout', '-text', '-in', 'server.pem'], {
      cwd: parent,
      stdio: 'pipe',
    }).toString();
    for (const name of ['Basic Constraints', 'Key Usage', 'Extended Key Usage']) {
      expect(text).toContain(`X509v3 ${name}: critical`);
    }
    expect(text).toContain('X509v3 Authority Key Identifier');
    expect(text).toContain('X509v3 Subject Key Identifier');
  });

  test('replaces the controller certificate before it ends, and keeps the authority', async () => {
    const early = new LocalAuthority({ directory });
    const before = await early.controllerCredentials();
    const late = new LocalAuthority({ directory, now: () => Date.now() + 1800 * DAY_MS });
    const after = await late.controllerCredentials();
    expect(after.certificate).not.toBe(before.certificate);
    expect(after.serverCa).toBe(before.serverCa);
    expect(readFileSync(join(directory, 'controller.pem'), 'utf8')).toBe(
      after.certificate + after.key.reveal(),
    );
  });

  test('says which file is missing or foreign, and works again once it is back', async () => {
    const authority = new LocalAuthority({ directory });
    await authority.clientCa();
    const key = readFileSync(join(directory, 'server_ca.key'), 'utf8');
    const broken = new LocalAuthority({ directory });
    rmSync(join(directory, 'server_ca.key'));
    expect(errorChain(await broken.clientCa().catch((e: unknown) => e))).toContain('server_ca.key missing');
    writeFileSync(join(directory, 'server_ca.key'), readFileSync(join(directory, 'client_ca.key')));
    expect(errorChain(await broken.clientCa().catch((e: unknown) => e))).toContain(
      'belongs to another certificate',
    );
    writeFileSync(join(directory, 'server_ca.key'), key);
    expect(await broken.clientCa()).toBe(await authority.clientCa());
  });

  test('prints no key, whatever is printed', async () => {
    const authority = new LocalAuthority({ directory });
    const credentials = await authority.controllerCredentials();
    const { pem } = await authority.issueAgentCertificate(AMPHORA);
    expect(JSON.stringify({ credentials, pem })).not.toContain('PRIVATE');
  });
});
