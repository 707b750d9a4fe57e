/** Shell completion in the shells themselves: keys are typed, and the line is read from the terminal. */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify, stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cli, startCli } from './cli.fixture.ts';
import { ROOT } from './sources.ts';

/** For what one Tab starts: a shell's completion and a client. */
const LIMIT_MS = 40_000;

let cli: Cli;
let env: NodeJS.ProcessEnv;
beforeAll(async () => {
  cli = await startCli();
  env = {
    ...process.env,
    ...{ PATH: `${join(ROOT, 'bin')}:${process.env.PATH}`, TERM: 'dumb', HOME: cli.dataDir },
    OS_CLIENT_CONFIG_FILE: join(cli.dataDir, 'clouds.yaml'),
  };
  for (const name of ['store', 'shop front'])
    await cli.ottavia(`lb create --name '${name}' --vip-subnet-id private-subnet --wait`);
  await cli.ottavia(
    'pool create --name apps --loadbalancer store --protocol HTTP --lb-algorithm ROUND_ROBIN',
  );
  await cli.ottavia('member create apps --name m1 --address 10.0.0.5 --protocol-port 80 --wait');
  writeFileSync(join(cli.dataDir, 'certificate.pem'), '');
});
afterAll(() => cli.stop());

const words = async (line: string): Promise<string[]> =>
  (await cli.ottavia(`complete -- ${line}`)).out.split('\n').map(row => row.split('\t', 1)[0]!);

describe('candidates', () => {
  test.each([
    ['l7r', ['l7rule']],
    ['lb sho', ['show']],
    ['hm list --p', ['--project', '--pool']],
    ['listener create store --protocol TERM', ['TERMINATED_HTTPS']],
    ['lb list --format=j', ['--format=json']],
    ['lb list --format = j', ['json']],
    ['lb create --vip-subnet-id priv', ['private-subnet']],
    ['lb show st', ['store']],
    ['pool set ap', ['apps']],
    ['member show apps m', ['m1']],
    ['--os-cloud ottavia lb show st', ['store']],
    ['--os-cloud nowhere lb show st', []],
    ['completion f', ['fish']],
    ['secret store --file cert', [':files']],
    ['lb list --name st', []],
  ])('%s', async (line, expected) => {
    expect(await words(line)).toEqual([...expected, '']);
  });

  test('an id that was begun is completed', async () => {
    const [id] = await cli.values('lb list --name store -c id');
    expect(await words(`lb show ${id!.slice(0, 30)}`)).toEqual([id, '']);
  });
});

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;

/** What a terminal shows of it: no colours, and what was written over is gone. */
function shown(raw: string): string {
  const text = stripVTControlCharacters(raw);
  const shorter = text.replaceAll(/[^\b][\b]/g, '');
  return shorter === text ? text.replaceAll(/(?!\n)\p{Cc}/gu, '') : shown(shorter);
}

/** Types lines into an interactive shell on a terminal of its own, and waits for what Tab is to make of each. */
async function typeInto(shell: string, setup: string, lines: readonly (readonly [string, string])[]) {
  const child = spawn('script', ['-qefc', shell, '/dev/null'], { env, cwd: cli.dataDir });
  try {
    let screen = '';
    let look = () => {};
    child.stdout.on('data', (chunk: Buffer) => {
      screen += chunk.toString();
      look();
    });
    const see = (text: string) =>
      new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`not seen: ${text}\n${shown(screen)}`)), LIMIT_MS);
        look = () => {
          if (!shown(screen).includes(text)) return;
          clearTimeout(timer);
          resolve();
        };
        look();
      });
    child.stdin.write(`${setup}; echo LOA''DED\n`);
    await see('LOADED');
    for (const [line, expected] of lines) {
      // Control-U clears the line of before.
      child.stdin.write(`\x15ottavia ${line}\t`);
      await see(expected);
    }
  } finally {
    child.kill('SIGKILL');
  }
}

const TYPED = [
  ['lb show sto', 'ottavia lb show store'],
  ['lb show sh', 'ottavia lb show shop\\ front'],
  ['lb list --provisioning-status A', '--provisioning-status ACTIVE'],
  ['secret store --file cert', 'ottavia secret store --file certificate.pem'],
] as const;

describe('a line that is written, and Tab', { timeout: 5 * LIMIT_MS }, () => {
  test.for([
    ['bash', 'bash --noprofile --norc -i', 'source <(ottavia completion bash)'],
    ['zsh', 'zsh -f -i', 'autoload -U compinit; compinit -u -D; source <(ottavia completion zsh)'],
  ] as const)('%s', async ([program, shell, setup], { skip }) => {
    if (!has(program)) skip(`${program} is not installed; scripts/setup --tests installs it`);
    await typeInto(shell, setup, TYPED);
  });

  test('fish', async ({ skip }) => {
    if (!has('fish')) skip('fish is not installed; scripts/setup --tests installs it');
    const ask = async (line: string) => {
      const script = `ottavia completion fish | source; complete -C 'ottavia ${line}'`;
      const options = { env, cwd: cli.dataDir, timeout: LIMIT_MS };
      return (await promisify(execFile)('fish', ['--no-config', '-c', script], options)).stdout;
    };
    expect(await ask('lb sho')).toBe('show\tShow a load balancer\n');
    expect(await ask('lb show s')).toBe('shop front\tload balancer\nstore\tload balancer\n');
    expect(await ask('secret store --file cert')).toBe('certificate.pem\n');
  });
});
