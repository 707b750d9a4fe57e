/** What every compute driver must do: run by each implementation's test. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Network } from '../network/network.ts';
import type { Compute, InstanceSpec } from './compute.ts';

export interface ComputeSubject {
  compute: Compute;
  network: Network;
  /** Another driver object on the same cloud: what a restarted process has. */
  reopen(): Compute;
  managementNetworkId: string;
  userNetworkId: string;
  /** Everything that the cloud holds of ours, as comparable data; equal before an instance is built and after its end. */
  look(): Promise<unknown>;
  /** Leaves nothing behind. */
  tearDown(): Promise<void>;
}

export function computeContract(name: string, setUp: () => Promise<ComputeSubject>): void {
  describe(`${name} as compute`, () => {
    let subject: ComputeSubject;
    let instances = 0;

    beforeAll(async () => {
      subject = await setUp();
    });
    afterAll(() => subject.tearDown());

    const spec = (): InstanceSpec => ({
      name: `amphora-${String(++instances).padStart(8, '0')}-0000-4000-8000-00000000000a`,
      networks: [subject.managementNetworkId],
      files: [{ path: '/etc/octavia/amphora-agent.conf', content: '[DEFAULT]\n', mode: 0o600 }],
    });
    const userPort = (portName: string) =>
      subject.network.ensurePort({
        ...{ name: portName, network_id: subject.userNetworkId, project_id: null, fixed_ips: [] },
      });

    test('builds an instance with an address in the management network', async () => {
      const wanted = spec();
      const built = await subject.compute.ensureInstance(wanted);
      expect(built).toMatchObject({ name: wanted.name, status: 'ACTIVE', fault: null });
      expect(built.lb_network_ip).toMatch(/^[0-9a-f.:]+$/);
      expect(built.compute_id).toMatch(/^[0-9a-f-]{36}$/);
      await subject.compute.deleteInstance(wanted.name);
    });

    test('finds an instance again instead of building a second one, also after a restart', async () => {
      const wanted = spec();
      const built = await subject.compute.ensureInstance(wanted);
      expect(await subject.compute.ensureInstance(wanted)).toEqual(built);
      expect(await subject.reopen().findInstance(wanted.name)).toEqual(built);
      expect(await subject.reopen().ensureInstance(wanted)).toEqual(built);
      expect(await subject.reopen().listInstances()).toEqual([wanted.name]);
      await subject.reopen().deleteInstance(wanted.name);
    });

    test('gives two instances two addresses', async () => {
      const [one, two] = [spec(), spec()];
      const built = await Promise.all([one, two].map(each => subject.compute.ensureInstance(each)));
      expect(new Set(built.map(each => each.lb_network_ip)).size).toBe(2);
      await Promise.all([one, two].map(each => subject.compute.deleteInstance(each.name)));
    });

    test('attaches and detaches a port, and does so again without harm', async () => {
      const wanted = spec();
      await subject.compute.ensureInstance(wanted);
      const port = await userPort('octavia-test-attach');
      await subject.compute.attachPort(wanted.name, port.id);
      const attached = await subject.look();
      await subject.reopen().attachPort(wanted.name, port.id);
      expect(await subject.look()).toEqual(attached);
      await subject.compute.detachPort(wanted.name, port.id);
      const detached = await subject.look();
      expect(detached).not.toEqual(attached);
      await subject.reopen().detachPort(wanted.name, port.id);
      expect(await subject.look()).toEqual(detached);
      await subject.compute.deleteInstance(wanted.name);
      await subject.network.deletePort(port.name);
    });

    test('refuses to attach what is not there, and detaches it with success', async () => {
      const port = await userPort('octavia-test-absent');
      await expect(subject.compute.attachPort('amphora-absent', port.id)).rejects.toThrow(
        `Cannot attach port ${port.id} to instance amphora-absent`,
      );
      const wanted = spec();
      await subject.compute.ensureInstance(wanted);
      await expect(subject.compute.attachPort(wanted.name, 'absent')).rejects.toThrow('no such port');
      await subject.compute.detachPort(wanted.name, 'absent');
      await subject.compute.detachPort('amphora-absent', port.id);
      await subject.compute.deleteInstance(wanted.name);
      await subject.network.deletePort(port.name);
    });

    test('deletes an instance with all that it held; an absent one is success', async () => {
      const port = await userPort('octavia-test-delete');
      const before = await subject.look();
      const wanted = spec();
      await subject.compute.ensureInstance(wanted);
      await subject.compute.attachPort(wanted.name, port.id);
      expect(await subject.look()).not.toEqual(before);
      await subject.reopen().deleteInstance(wanted.name);
      expect(await subject.look()).toEqual(before);
      expect(await subject.compute.findInstance(wanted.name)).toBeUndefined();
      expect(await subject.compute.listInstances()).toEqual([]);
      await subject.compute.deleteInstance(wanted.name);
      expect(await subject.look()).toEqual(before);
      await subject.network.deletePort(port.name);
    });

    test('a port that is deleted while it is attached goes without the instance minding', async () => {
      const wanted = spec();
      await subject.compute.ensureInstance(wanted);
      const before = await subject.look();
      const port = await userPort('octavia-test-gone');
      await subject.compute.attachPort(wanted.name, port.id);
      await subject.network.deletePort(port.name);
      expect(await subject.look()).toEqual(before);
      await subject.compute.deleteInstance(wanted.name);
    });
  });
}
