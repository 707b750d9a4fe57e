import { describe, expect, test } from 'vitest';
import { CommandError, run } from './command.ts';

describe('run()', () => {
  test('gives the output, and hands the input over', async () => {
    expect(await run('cat', [], { input: 'grüße\n' })).toEqual({ stdout: 'grüße\n', stderr: '' });
  });

  test('says what was run, how it ended and what it printed', async () => {
    const failed = run('sh', ['-c', 'echo out; echo err >&2; exit 3']);
    await expect(failed).rejects.toMatchObject({ exitCode: 3, stdout: 'out\n', stderr: 'err\n' });
    await expect(failed).rejects.toThrow(/sh -c .*exit code 3.*err\nout/s);
  });

  test('says that a program is missing', async () => {
    await expect(run('/no/such/program', [])).rejects.toThrow(/Cannot run \/no\/such\/program.*ENOENT/);
  });

  test('kills a program that takes too long', async () => {
    const startedAt = performance.now();
    await expect(run('sleep', ['20'], { timeoutMs: 50 })).rejects.toThrow('took longer than 50 ms');
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  test('kills a program whose caller gave up, before it started or later', async () => {
    await expect(run('sleep', ['20'], { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(CommandError);
    await expect(run('sleep', ['20'], { signal: AbortSignal.timeout(20) })).rejects.toThrow('was aborted');
  });

  test('does not wait for a daemon that keeps the output open', async () => {
    const { stdout } = await run('sh', ['-c', 'echo started; sleep 15 & exit 0'], { timeoutMs: 10_000 });
    expect(stdout).toBe('started\n');
  });

  test('passes no shell: arguments arrive as they are', async () => {
    expect((await run('printf', ['%s|', '$HOME; ls', 'a b'])).stdout).toBe('$HOME; ls|a b|');
  });
});
