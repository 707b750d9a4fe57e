/** NamespaceCompute on the real kernel: contract, what the instance sees, crashes at every stage, purge. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { computeContract } from '../../src/drivers/compute/compute.contract.ts';
import { NamespaceCompute } from '../../src/drivers/compute/namespace.ts';
import { BridgeNetwork } from '../../src/drivers/network/bridge.ts';
import { MemoryNetworkStore } from '../../src/drivers/network/memory-store.ts';
import { type HostState, hostTestsObstacle, processesIn, readHostState } from './host-state.ts';
import { until } from './until.ts';

const AGENT = join(import.meta.dirname, 'testdata/stand-in-agent.mjs');
const EMPTY = { links: [], namespaces: [], mounts: [], processes: [], files: [] };
let subnets = 0;

/** A system of its own on this host. */
async function openSystem() {
  const systemId = randomBytes(3).toString('hex').slice(0, 5);
  const dataDir = mkdtempSync(join(tmpdir(), 'compute-'));
  const network = new BridgeNetwork({ store: new MemoryNetworkStore(), systemId });
  const cidrs = [1, 2].map(() => `198.18.${80 + (++subnets % 100)}.0/24`);
  const networkIds: string[] = [];
  for (const [i, cidr] of cidrs.entries()) {
    const { id } = await network.ensureNetwork({ name: `net-${i}` });
    await network.ensureSubnet({ name: 'v4', network_id: id, cidr });
    networkIds.push(id);
  }
  const open = () => new NamespaceCompute({ dataDir, systemId, network, agentProgram: AGENT });
  return {
    ...{ systemId, dataDir, network, open, compute: open(), cidrs },
    managementNetworkId: networkIds[0]!,
    userNetworkId: networkIds[1]!,
    look: () => readHostState(systemId, dataDir),
    async tearDown() {
      await this.compute.purge();
      await network.purge();
      expect(readHostState(systemId, dataDir)).toEqual(EMPTY);
      rmSync(dataDir, { recursive: true });
    },
  };
}
type System = Awaited<ReturnType<typeof openSystem>>;

/** What the agent answers, waited for until it does. */
async function ask(address: string | null, path: string): Promise<string> {
  return await vi.waitFor(
    async () => {
      const response = await fetch(`http://${address}:9443${path}`, {
        signal: AbortSignal.timeout(5000),
      });
      const text = await response.text();
      expect(response.status, text).toBe(200);
      return text;
    },
    { timeout: 20_000, interval: 5 },
  );
}

/** Without what a port built anew has anew: its id. */
const shape = (state: HostState) => ({
  ...state,
  links: state.links.map(link => ({ ...link, name: link.name.slice(0, 7) })),
});

if (hostTestsObstacle !== undefined) {
  test.skip(`NamespaceCompute: ${hostTestsObstacle}`, () => {});
} else {
  computeContract('NamespaceCompute', async () => {
    const system = await openSystem();
    return {
      ...system,
      compute: system.compute,
      network: system.network,
      reopen: system.open,
      look: async () => ({ ...system.look(), ports: await system.network.listPortNames() }),
      tearDown: () => system.tearDown(),
    };
  });

  describe('a namespace instance', () => {
    let system: System;
    const name = 'amphora-11111111-0000-4000-8000-00000000000a';

    beforeAll(async () => {
      system = await openSystem();
    });
    afterEach(() => system.compute.deleteInstance(name));
    afterAll(() => system.tearDown());

    const spec = (files: { path: string; content: string; mode: number }[] = []) => ({
      ...{ name, networks: [system.managementNetworkId], files },
    });
    const directory = () => join(system.dataDir, 'instances', name);
    const pid = () => Number(readFileSync(join(directory(), 'pid'), 'utf8').split(' ')[0]);

    test('has its own hostname, processes, files and interface, and its agent its configuration', async () => {
      const content = '[amphora_agent]\namphora_id = 1\n';
      const { lb_network_ip: address } = await system.compute.ensureInstance(
        spec([{ path: '/etc/octavia/amphora-agent.conf', content, mode: 0o600 }]),
      );
      expect(await ask(address, '/hostname')).toBe(name);
      expect(Number(await ask(address, '/pid'))).toBeLessThan(100);
      expect(await ask(address, '/arguments')).toBe('--config-file /etc/octavia/amphora-agent.conf');
      expect(await ask(address, '/config')).toBe(content);
      const links = JSON.parse(await ask(address, '/links')) as { ifname: string; flags: string[] }[];
      expect(links.map(link => link.ifname)).toEqual(['lo', 'eth0']);
      expect(links.every(link => link.flags.includes('UP'))).toBe(true);
      // Nothing of the host's mounts is left to keep a disk busy.
      expect(
        (await ask(address, '/mounts'))
          .split('\n')
          .map(line => line.split(' ')[1])
          .sort(),
      ).toEqual([undefined, '/', '/dev', '/opt/ottavia/node', '/proc', '/run', '/tmp'].sort());
    });

    test('writes into its own directory, and not onto the host', async () => {
      const { lb_network_ip: address } = await system.compute.ensureInstance(spec());
      await ask(address, '/write');
      expect(readFileSync(join(directory(), 'upper/var/lib/octavia/written'), 'utf8')).toBe('by the agent');
      expect(existsSync('/var/lib/octavia/written')).toBe(false);
      expect(existsSync('/run/written')).toBe(false);
    });

    test('is in another failure domain than those it is to be apart from, also when they are built at once', async () => {
      const names = [1, 2, 3].map(n => `amphora-2222222${n}-0000-4000-8000-00000000000a`);
      const build = (own: string, apart_from: string[]) =>
        system.compute.ensureInstance({ ...spec(), name: own, apart_from });
      try {
        const [one, two] = await Promise.all([build(names[0]!, [names[1]!]), build(names[1]!, [names[0]!])]);
        expect([one.zone, two.zone].sort()).toEqual(['1', '2']);
        // Of a later process, which knows from the files alone.
        const third = await system
          .open()
          .ensureInstance({ ...spec(), name: names[2]!, apart_from: [names[0]!] });
        expect(third.zone).toBe(two.zone);
        expect((await system.compute.findInstance(names[2]!))!.zone).toBe(two.zone);
      } finally {
        for (const each of names) await system.compute.deleteInstance(each);
      }
    });

    test('starts its agent again when it ends', async () => {
      const { lb_network_ip: address } = await system.compute.ensureInstance(spec());
      const before = await ask(address, '/pid');
      await ask(address, '/end');
      await until('another agent', async () => (await ask(address, '/pid')) !== before);
      expect(readFileSync(join(directory(), 'console.log'), 'utf8')).toContain('ended with 3');
    });

    test('takes its inner namespace and the links in it along when it is deleted', async () => {
      const empty = system.look();
      const { lb_network_ip: address } = await system.compute.ensureInstance(spec());
      const port = await system.network.ensurePort({
        ...{ name: 'octavia-test-inner', network_id: system.userNetworkId, project_id: null, fixed_ips: [] },
      });
      await system.compute.attachPort(name, port.id);
      await ask(address, '/inner');
      await ask(address, '/take');
      const attached = system.look();
      await system.open().attachPort(name, port.id);
      expect(system.look()).toEqual(attached);
      await system.compute.deleteInstance(name);
      expect(system.look()).toEqual(empty);
      expect((await system.network.findPort(port.id))?.device_id).toBe('');
      await system.network.deletePort(port.name);
    });

    test('leaves no process in its network namespace behind', async () => {
      await system.compute.ensureInstance(spec());
      const inode = execFileSync('stat', ['-L', '-c', '%i', `/proc/${pid()}/ns/net`])
        .toString()
        .trim();
      expect(processesIn(inode).length).toBeGreaterThan(1);
      await system.compute.deleteInstance(name);
      expect(processesIn(inode)).toEqual([]);
    });

    const untilDead = (instance: string) =>
      until(
        `${instance} to be dead`,
        async () => (await system.compute.findInstance(instance))?.status === 'ERROR',
      );
    async function killProcessOne(): Promise<void> {
      process.kill(pid(), 'SIGKILL');
      await untilDead(name);
    }

    const STAGES: [string, () => Promise<void> | void][] = [
      ['its directory is half written', () => rmSync(join(directory(), 'instance.json'))],
      ['process 1 never noted itself', () => rmSync(join(directory(), 'pid'))],
      ['process 1 was killed', killProcessOne],
      ['it was noted only in half', () => writeFileSync(join(directory(), 'pid'), '12 (sh')],
      [
        'only its namespace is left',
        async () => {
          await system.compute.deleteInstance(name);
          execFileSync('ip', ['netns', 'add', system.compute.namespaceOf(name)]);
        },
      ],
      [
        'its namespace is gone',
        async () => {
          execFileSync('ip', ['netns', 'delete', system.compute.namespaceOf(name)]);
          await killProcessOne();
        },
      ],
    ];

    test.each(STAGES)('is made whole where %s', async (_, damage) => {
      const empty = system.look();
      await system.compute.ensureInstance(spec());
      const whole = system.look();
      await damage();
      const again = await system.open().ensureInstance(spec());
      expect(again.status).toBe('ACTIVE');
      expect(await ask(again.lb_network_ip, '/hostname')).toBe(name);
      expect(shape(system.look())).toEqual(shape(whole));
      await system.compute.deleteInstance(name);
      expect(system.look()).toEqual(empty);
    });

    test.each(STAGES)('is deleted without rest where %s', async (_, damage) => {
      const empty = system.look();
      await system.compute.ensureInstance(spec());
      await damage();
      await system.open().deleteInstance(name);
      expect(system.look()).toEqual(empty);
      expect(await system.network.listPortNames()).toEqual([]);
      expect(await system.open().listInstances()).toEqual([]);
    });

    test('is told dead when it is, and started again with its files and ports by restore()', async () => {
      const { lb_network_ip: address } = await system.compute.ensureInstance(spec());
      const port = await system.network.ensurePort({
        ...{
          name: 'octavia-test-restore',
          network_id: system.userNetworkId,
          project_id: null,
          fixed_ips: [],
        },
      });
      await system.compute.attachPort(name, port.id);
      await ask(address, '/write');
      await killProcessOne();
      await system.open().restore();
      expect(await system.compute.findInstance(name)).toMatchObject({
        status: 'ACTIVE',
        lb_network_ip: address,
      });
      const links = JSON.parse(await ask(address, '/links')) as { ifname: string }[];
      expect(links.map(link => link.ifname.slice(0, 3)).sort()).toEqual(['eth', 'lo', 'tap']);
      expect(existsSync(join(directory(), 'upper/var/lib/octavia/written'))).toBe(true);
      await system.network.deletePort(port.name);
    });

    test('does not keep others from being restored when its deletion was cut off half-way', async () => {
      const other = `${name}-other`;
      await system.compute.ensureInstance(spec());
      await system.compute.ensureInstance({ ...spec(), name: other });
      for (const each of [name, other]) {
        const noted = readFileSync(join(system.dataDir, 'instances', each, 'pid'), 'utf8');
        process.kill(Number(noted.split(' ')[0]), 'SIGKILL');
        await untilDead(each);
      }
      await system.network.deletePort(`mgmt-${name}`);
      await system.open().restore();
      expect(await system.compute.findInstance(other)).toMatchObject({ status: 'ACTIVE' });
      expect(await system.compute.findInstance(name)).toMatchObject({ status: 'ERROR' });
      await system.compute.deleteInstance(other);
    });

    test('fails with the words of its console when it cannot start, and can be deleted', async () => {
      const broken = new NamespaceCompute({
        ...{
          dataDir: system.dataDir,
          systemId: system.systemId,
          network: system.network,
          agentProgram: AGENT,
        },
        node: '/nonexistent/node',
      });
      const error = await broken.ensureInstance(spec()).catch((e: Error) => e);
      expect((error as Error).message).toBe(`Cannot build instance ${name}`);
      expect(String((error as Error).cause)).toContain('/nonexistent/node');
    });

    test('refuses names and files that would lead outside', async () => {
      await expect(system.compute.ensureInstance({ ...spec(), name: '../x' })).rejects.toThrow(
        'as instance name',
      );
      const outside = [{ path: '/../../x', content: '', mode: 0o600 }];
      const error = await system.compute.ensureInstance(spec(outside)).catch((e: Error) => e);
      expect(String((error as Error).cause)).toContain('Cannot write /../../x into an instance');
    });

    test('keeps its console short', async () => {
      await system.compute.ensureInstance(spec());
      const path = join(directory(), 'console.log');
      writeFileSync(path, 'x'.repeat(2 * 1024 * 1024), { flag: 'a' });
      await system.compute.findInstance(name);
      expect(readFileSync(path).length).toBeLessThan(1024 * 1024);
    });
  });

  test('an instance outlives the controller that built it, and another controller adopts it', async () => {
    const system = await openSystem();
    const name = 'amphora-22222222-0000-4000-8000-00000000000a';
    try {
      await system.network.purge();
      const script = join(import.meta.dirname, 'testdata/build-and-die.ts');
      const args = [script, system.dataDir, system.systemId, AGENT, name, system.cidrs[0]!];
      const child = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 30_000 });
      expect(child.signal, child.stderr).toBe('SIGKILL');
      const found = await system.compute.findInstance(name);
      expect(found).toMatchObject({ status: 'ACTIVE', lb_network_ip: child.stdout.trim() });
      expect(await ask(found!.lb_network_ip, '/hostname')).toBe(name);
      expect(await system.compute.ensureInstance({ name, networks: [], files: [] })).toEqual(found);
    } finally {
      await system.tearDown();
    }
  });
}
