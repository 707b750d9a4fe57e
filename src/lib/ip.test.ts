import { describe, expect, test } from 'vitest';
import * as ip from './ip.ts';

describe('lines for ip -batch', () => {
  test.each([
    [ip.addNamespace('a-b'), 'netns add a-b'],
    [
      ip.addVeth('out', { name: 'in', mac: 'fa:16:3e:00:00:01', namespace: 'ns' }, 1500),
      'link add name out mtu 1500 type veth peer name in address fa:16:3e:00:00:01 mtu 1500 netns ns',
    ],
    [
      ip.addVeth('out', { name: 'in', mac: 'fa:16:3e:00:00:01' }, 1500),
      'link add name out mtu 1500 type veth peer name in address fa:16:3e:00:00:01 mtu 1500',
    ],
    [ip.replaceAddress('10.0.0.1/24', 'eth0'), 'address replace 10.0.0.1/24 dev eth0'],
    [ip.replaceAddress('fd00::1/64', 'eth0'), 'address replace fd00::1/64 dev eth0 nodad'],
    [ip.replaceDefaultRoute('10.0.0.1', 'eth0'), 'route replace 0.0.0.0/0 via 10.0.0.1 dev eth0'],
    [ip.replaceDefaultRoute('fd00::1', 'eth0'), 'route replace ::/0 via fd00::1 dev eth0'],
  ])('%s', (line, text) => {
    expect(line).toBe(text);
  });

  test.each(['a b', 'a\nlink delete eth0', '', "a'b", 'a#b', 'a;b', '$a'])('refuse the word %j', word => {
    expect(() => ip.setUp(word)).toThrow('as a word of ip');
  });

  test('cost no process when there are none', async () => {
    const path = process.env.PATH;
    process.env.PATH = '/nonexistent';
    try {
      await ip.runIpBatch([]);
      await expect(ip.runIpBatch([ip.setUp('lo')])).rejects.toThrow('Cannot run ip');
    } finally {
      process.env.PATH = path;
    }
  });
});
