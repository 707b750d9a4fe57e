/** Each feature of the API is proven by traffic, and TRAFFIC.md says by which test. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../src/lib/command.ts';
import { trafficObstacle } from './host/real-system.ts';
import { ROOT } from './sources.ts';
import { decodeProof, listFeatures, type Proof, proves, renderTrafficPage } from './traffic-features.ts';

const PAGE = join(ROOT, 'TRAFFIC.md');
const LIST_LIMIT_MS = 60_000;

test('tags are taken from the names of tests', () => {
  expect(
    decodeProof('TLS [listener.sni_container_refs] > a name (no such luck) [http2, IPv4, IPv6]'),
  ).toEqual({
    test: 'TLS > a name',
    features: ['listener.sni_container_refs', 'http2'],
    families: ['IPv4', 'IPv6'],
    obstacle: 'no such luck',
  });
});

test('the features are those of the API', () => {
  const names = listFeatures().map(feature => feature.name);
  expect(names).toEqual(expect.arrayContaining(['listener.protocol=UDP', 'member.weight', 'l7rule.invert']));
  expect(new Set(names).size).toBe(names.length);
});

// Names of tests that cannot run here say so in other words.
describe.skipIf(trafficObstacle !== undefined)(
  `features and tests${trafficObstacle ? ` (${trafficObstacle})` : ''}`,
  () => {
    let proofs: Proof[];
    let directory: string;
    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'traffic-features-'));
      const file = join(directory, 'tests.json');
      const options = [
        'list',
        '--project',
        'host',
        '--staticParse=false',
        `--json=${file}`,
        'test/host/traffic',
      ];
      // The runner inside this one: it only collects.
      await run(process.execPath, ['node_modules/vitest/vitest.mjs', ...options], {
        cwd: ROOT,
        timeoutMs: LIST_LIMIT_MS,
      });
      const listed: { name: string }[] = JSON.parse(readFileSync(file, 'utf8'));
      proofs = listed
        .map(({ name }) => decodeProof(name))
        .filter(({ features }) => features.length > 0)
        .sort((a, b) => (a.test < b.test ? -1 : 1));
    }, LIST_LIMIT_MS);
    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    test('each feature of the API is proven by traffic', () => {
      const unproven = listFeatures().filter(
        ({ name, required }) => required && !proofs.some(proof => proves(proof, name)),
      );
      expect(unproven.map(({ name }) => name)).toEqual([]);
    });

    test('no test names a feature that there is not', () => {
      const known = listFeatures();
      const strange = proofs
        .flatMap(proof => proof.features)
        .filter(tag => !known.some(({ name }) => tag === name || tag.startsWith(`${name}=`)));
      expect(strange).toEqual([]);
    });

    test('TRAFFIC.md is up to date', async () => {
      const [, version] = /version (\d+\.\d+\.\d+)/.exec((await run('haproxy', ['-v'])).stdout) ?? [];
      if (process.env.UPDATE === '1') writeFileSync(PAGE, renderTrafficPage(proofs, version!));
      const page = readFileSync(PAGE, 'utf8');
      // Another release proves the same; the page keeps the one that it was made with.
      const [, written] = /HAProxy (\d+\.\d+\.\d+)/.exec(page) ?? [];
      expect(page).toBe(renderTrafficPage(proofs, written!));
    });
  },
);
