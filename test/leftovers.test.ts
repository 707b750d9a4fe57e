/** `ottavia leftovers`: the real program beside a running system on noop drivers, which leaves what is in its directory alone. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { instanceName } from '../src/model/amphora.ts';
import { endOttaviaProcesses, OttaviaProcess, runOttavia } from './ottavia-process.ts';

let dataDir: string;
beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'ottavia-leftovers-'));
});
afterAll(() => {
  endOttaviaProcesses();
  rmSync(dataDir, { recursive: true });
});

const leftovers = () => runOttavia(['leftovers', '--data-dir', dataDir]);
const STRANGER = '99999999-0000-4000-8000-000000000000';

test('what the owner of which was deleted is told from what nobody knows, and nothing is touched', async () => {
  expect(await leftovers()).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/holds no Ottavia system\n$/),
  });
  const program = new OttaviaProcess([
    ...['standalone', '--data-dir', dataDir, '--listen', '127.0.0.1:0', '--drivers', 'noop'],
  ]);
  await program.ready();
  const env = { ...process.env, OS_CLIENT_CONFIG_FILE: join(dataDir, 'clouds.yaml') };
  const ottavia = async (line: string) => {
    const ended = await runOttavia(line.split(' '), { env });
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
    return ended.stdout.trim();
  };
  for (const name of ['lives', 'goes'])
    await ottavia(`lb create --name ${name} --vip-subnet-id private-subnet --wait`);
  const idOf = (name: string) => ottavia(`amphora list --loadbalancer ${name} -f value -c id`);
  const [lives, goes] = [await idOf('lives'), await idOf('goes')];
  await ottavia('lb delete goes --wait');
  expect(await leftovers()).toMatchObject({ code: 0, stdout: 'Nothing is left over\n' });

  const directories = [lives, goes, STRANGER].map(id => join(dataDir, 'instances', instanceName(id)));
  for (const path of directories) mkdirSync(path, { recursive: true });
  const { stdout, code } = await leftovers();
  expect(code).toBe(0);
  expect(stdout.trim().split('\n').sort()).toEqual(
    [
      `instance ${instanceName(goes)}: its owner was deleted: the running system removes it`,
      `instance ${instanceName(STRANGER)}: no row knows it: it stays`,
    ].sort(),
  );
  expect(directories.filter(path => existsSync(path))).toEqual(directories);
  await program.end();
});
