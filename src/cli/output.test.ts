import { Writable } from 'node:stream';
import { WriteStream } from 'node:tty';
import { expect, test, vi } from 'vitest';
import { paintStatus, renderList, renderOne } from './output.ts';
import { type Node, renderTree } from './tree.ts';
import { Progress } from './wait.ts';

test('a table shows ids of references, several lines in a cell, and nothing for null', () => {
  const row = { name: 'a', pools: [{ id: '1' }, { id: '2' }], headers: { x: 'y' }, none: null };
  expect(renderOne(row, undefined, 'table')).toBe(
    [
      '+---------+-----------+',
      '| field   | value     |',
      '+---------+-----------+',
      '| name    | a         |',
      '| pools   | 1         |',
      '|         | 2         |',
      '| headers | {"x":"y"} |',
      '| none    |           |',
      '+---------+-----------+',
      '',
    ].join('\n'),
  );
});

test('values are bare, JSON has every column', () => {
  const rows = [{ a: 1, b: [true, 'x'] }, { a: 2 }];
  expect(renderList(rows, ['a', 'b'], 'value')).toBe('1 true, x\n2 \n');
  expect(JSON.parse(renderList(rows, ['a', 'b'], 'json'))).toEqual([
    { a: 1, b: [true, 'x'] },
    { a: 2, b: null },
  ]);
});

/** A stream that says it is a terminal with colours, or is none. */
function stream(isTTY: boolean) {
  const chunks: string[] = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk));
      done();
    },
  });
  // The question that a real terminal answers; it looks at NO_COLOR itself.
  const getColorDepth = () => WriteStream.prototype.getColorDepth({ ...process.env, TERM: 'xterm-256color' });
  return Object.assign(sink, { isTTY, columns: 40, getColorDepth, text: () => chunks.join('') });
}

const leaf = (label: string): Node => ({
  ...{ label, detail: 'd', provisioning_status: 'ERROR', operating_status: 'ONLINE', children: [] },
});

test('a tree is drawn with its branches, and coloured on a terminal only', () => {
  const root: Node = {
    ...{ label: 'lb', detail: 'x', provisioning_status: 'PENDING_UPDATE', operating_status: 'ONLINE' },
    children: [{ ...leaf('a'), children: [leaf('b')] }, leaf('c')],
  };
  const lines = renderTree(root, stream(false))
    .split('\n')
    .map(line => line.replaceAll(/ +/g, ' '));
  expect(lines).toEqual([
    'lb x PENDING_UPDATE ONLINE',
    '├─ a d ERROR ONLINE',
    '│ └─ b d ERROR ONLINE',
    '└─ c d ERROR ONLINE',
    '',
  ]);
  // What a terminal can show is told by the environment, and CI's says that there is none.
  for (const name of ['NO_COLOR', 'FORCE_COLOR', 'NODE_DISABLE_COLORS', 'CI']) vi.stubEnv(name, undefined);
  vi.stubEnv('TERM', 'xterm-256color');
  expect(paintStatus('ERROR', stream(true))).toBe('\u001b[31mERROR\u001b[39m');
  vi.stubEnv('NO_COLOR', '1');
  expect(paintStatus('ERROR', stream(true))).toBe('ERROR');
  vi.unstubAllEnvs();
  expect(paintStatus('ERROR', stream(false))).toBe('ERROR');
});

test('progress is one line on a terminal, and one line per change elsewhere', () => {
  for (const isTTY of [true, false]) {
    const sink = stream(isTTY);
    const progress = new Progress(sink);
    for (const text of ['one', 'one', 'a text that is much longer than the line of the terminal is wide'])
      progress.show(text);
    progress.end();
    const newlines = sink.text().split('\n').length - 1;
    expect(newlines).toBe(isTTY ? 1 : 2);
    if (isTTY)
      for (const part of sink.text().split('\r\x1b[2K')) expect(part.trimEnd().length).toBeLessThan(40);
  }
});
