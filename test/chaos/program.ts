/**
 * One program of the system as a process: `<program> <socket> <name> <seed> <config-file>…`. It is the one that operators run, but for
 * its drivers, which reach the cloud of the test, its clock, which the test may set, and its queue, which loses and doubles messages.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Lease } from '../../src/db/lease.ts';
import type { AmphoraDriver } from '../../src/drivers/amphora/amphora.ts';
import type { Compute } from '../../src/drivers/compute/compute.ts';
import type { Network } from '../../src/drivers/network/network.ts';
import { runProgram } from '../../src/main/program.ts';
import type { ProgramKind } from '../../src/main/program-checks.ts';
import { AmphoraProvider } from '../../src/providers/amphora/amphora-provider.ts';
import { RabbitQueue } from '../../src/queue/rabbitmq.ts';
import { seededRandom } from '../scenarios/random.ts';
import { CloudLink } from './link.ts';

const [kind = '', socket = '', name = '', seed = '', ...configFile] = process.argv.slice(2);

let clockOffsetMs = 0;
const trueNow = Date.now;
Date.now = () => trueNow() + clockOffsetMs;

const link = new CloudLink(socket, name, ({ clock_offset_ms }) => {
  clockOffsetMs = clock_offset_ms ?? 0;
});

const underLease = new AsyncLocalStorage<Lease>();
for (const method of ['reconcile', 'remove', 'reconcileUnowned'] as const) {
  const run = AmphoraProvider.prototype[method] as (pass: { lease: Lease }) => Promise<never>;
  AmphoraProvider.prototype[method] = function (this: AmphoraProvider, pass: { lease: Lease }) {
    return underLease.run(pass.lease, () => run.call(this, pass));
  };
}

/** Whatever is asked of it, it asks the cloud. */
function driver<T extends object>(seam: string, own: Partial<T>): T {
  return new Proxy(own as T, {
    get(target, method) {
      if (typeof method === 'symbol' || method in target) return Reflect.get(target, method);
      return (...parameters: unknown[]) =>
        link.call({ name: `${seam}.${method}`, parameters, lease: underLease.getStore() });
    },
  });
}

const random = seededRandom(Number(seed));
const LOST = 0.1;
const DOUBLED = 0.2;

/** How often a message comes through. */
function copies(): number {
  const drawn = random();
  if (drawn < LOST) link.tell('messages lost');
  else if (drawn < DOUBLED) link.tell('messages doubled');
  return drawn < LOST ? 0 : drawn < DOUBLED ? 2 : 1;
}

const { notify } = RabbitQueue.prototype;
RabbitQueue.prototype.notify = async function (this: RabbitQueue, id) {
  link.tell('messages');
  for (let i = copies(); i > 0; i--) await notify.call(this, id);
};

const code = await runProgram(kind as ProgramKind, {
  configFile,
  cloud: {
    compute: driver<Compute>('compute', { supports: { persistent: true } }),
    network: driver<Network>('network', {}),
    amphora: driver<AmphoraDriver>('amphora', {}),
    managementNetworkId: '',
    heartbeatAddress: undefined,
  },
});
// The way to the cloud would keep one alive that could not start.
process.exit(code);
