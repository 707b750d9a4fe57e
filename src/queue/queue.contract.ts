/** What every queue must do: run by each implementation's test. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../lib/until.fixture.ts';
import type { Queue } from './queue.ts';

export interface QueueSubject {
  /** What one process has. */
  open(): Promise<Queue & { close?(): Promise<void> }>;
  /** Whether the queues of two processes are one; a queue in one process ends there. */
  isShared: boolean;
  tearDown(): Promise<void>;
}

export function queueContract(name: string, setUp: () => Promise<QueueSubject>, limitMs?: number): void {
  describe(`${name} as queue`, () => {
    let subject: QueueSubject;
    const opened: { close?(): Promise<void> }[] = [];
    const open = async () => {
      const queue = await subject.open();
      opened.push(queue);
      return queue;
    };
    beforeAll(async () => {
      subject = await setUp();
    }, limitMs);
    afterAll(async () => {
      await Promise.all(opened.map(queue => queue.close?.()));
      await subject?.tearDown();
    });

    test('whoever consumes hears of each id, after the call that told it', async () => {
      const queue = await open();
      const heard: string[] = [];
      const end = queue.consume(id => heard.push(id));
      const ids = Array.from({ length: 200 }, () => randomUUID());
      for (const id of ids) {
        const told = queue.notify(id);
        expect(heard).not.toContain(id);
        await told;
      }
      await until(() => expect([...heard].sort()).toEqual([...ids].sort()));
      end();
    });

    test('who has ended hears nothing more, and who begins again hears again', async () => {
      const queue = await open();
      const [heard, again, witness]: string[][] = [[], [], []];
      queue.consume(id => heard!.push(id))();
      const other = await open();
      const ends = [other.consume(id => witness!.push(id)), queue.consume(id => again!.push(id))];
      const ids = Array.from({ length: 20 }, () => randomUUID());
      for (const id of ids) await queue.notify(id);
      const all = () => (subject.isShared ? [...again!, ...witness!] : again!);
      await until(() => expect(all().sort()).toEqual([...ids].sort()));
      expect(heard).toEqual([]);
      for (const end of ends) end();
    });

    test('a nudge that nobody consumes is no failure', async () => {
      const queue = await open();
      await expect(queue.notify(randomUUID())).resolves.toBeUndefined();
    });
  });
}
