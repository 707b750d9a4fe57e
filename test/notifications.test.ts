/** Changes of statuses as another service of OpenStack hears them: oslo.messaging itself, over a real broker. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Cli, startCli } from './cli.fixture.ts';
import { clientObstacle } from './clients/python-client.ts';
import { brokerObstacle, type MessageBroker, startMessageBroker } from './message-broker.ts';

interface Notification {
  priority: string;
  context: Record<string, unknown>;
  publisher_id: string;
  event_type: string;
  payload: Record<string, unknown>;
  metadata: { message_id: string; timestamp: string };
}

const START_LIMIT_MS = 150_000;
const obstacle = brokerObstacle() ?? clientObstacle('oslo_messaging');
const until = (check: () => unknown) => vi.waitFor(check, { timeout: 90_000, interval: 25 });

const title = obstacle ? `notifications (${obstacle})` : 'notifications';
describe.skipIf(obstacle)(title, { timeout: START_LIMIT_MS }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-notifications-'));
  const heard: Notification[] = [];
  let broker: MessageBroker;
  let cli: Cli;
  let listener: ChildProcess | undefined;

  /** What was told before stands in the queue, which the sender has made. */
  async function listen(): Promise<void> {
    const script = join(import.meta.dirname, 'notification-listener.py');
    listener = spawn('/usr/bin/python3', ['-W', 'ignore', script, broker.url], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: '1' },
    });
    const lines = createInterface({ input: listener.stdout! });
    lines.on('line', line => line.startsWith('{') && heard.push(JSON.parse(line)));
    await once(lines, 'line');
  }
  const own = () => heard.filter(({ event_type }) => event_type.startsWith('octavia.loadbalancer.'));
  const types = () => own().map(({ event_type }) => event_type.slice('octavia.loadbalancer.'.length));

  beforeAll(async () => {
    broker = await startMessageBroker();
    const file = join(directory, 'octavia.conf');
    const sections = `[DEFAULT]\ntransport_url = ${broker.url}\n[oslo_messaging_notifications]\ndriver = messagingv2\n`;
    writeFileSync(file, sections);
    cli = await startCli({ configFile: [file] });
  }, START_LIMIT_MS);
  afterAll(async () => {
    await cli?.stop();
    if (listener?.kill('SIGKILL')) await once(listener, 'exit');
    await broker?.[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  test('a listener of oslo.messaging hears all that became of a load balancer, in order, also what was told before it came', async () => {
    await cli.ottavia('lb create --name web --vip-subnet-id private-subnet --wait');
    await listen();
    await until(() => expect(types()).toEqual(['create.start', 'create.end']));
    const { payload, context, publisher_id, priority, metadata } = own()[1]!;
    expect(payload).toMatchObject({
      ...{ name: 'web', provisioning_status: 'ACTIVE', operating_status: 'OFFLINE', admin_state_up: true },
      ...{ vip_address: expect.stringMatching(/^10\./), additional_vips: [], vip_qos_policy_id: null },
      previous: { provisioning_status: 'PENDING_CREATE' },
    });
    expect(payload).toHaveProperty('loadbalancer_id');
    expect(context).toMatchObject({ project_id: payload.project_id });
    expect([publisher_id, priority]).toEqual([expect.stringMatching(/^octavia\../), 'info']);
    expect(metadata.timestamp).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$/);
  });

  test('what happens while the broker is away is told when it is back, and holds up nothing meanwhile', async () => {
    await broker.halt();
    heard.length = 0;
    await cli.ottavia('lb set web --description changed --wait');
    await cli.ottavia('lb delete web --wait');
    await broker.resume();
    const expected = ['update.start', 'update.end', 'delete.start', 'delete.end'];
    // What the broker has but has not confirmed comes twice.
    await until(() => expect([...new Set(types())]).toEqual(expected));
    expect(own().at(-1)!.payload.provisioning_status).toBe('DELETED');
  });
});
