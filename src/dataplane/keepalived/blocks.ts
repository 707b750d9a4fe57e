/** keepalived.conf as a tree of lines and blocks, printed with its indentation. */
import type { Text } from './quote.ts';

/** A line, or a block: its head and what stands in its braces. */
export type Entry = Text | Block;
export interface Block {
  head: Text;
  entries: readonly Entry[];
}

export function print(entry: Entry, indent = ''): string[] {
  if (typeof entry === 'string') return [indent + entry];
  return [
    `${indent}${entry.head} {`,
    ...entry.entries.flatMap(each => print(each, `${indent}    `)),
    `${indent}}`,
  ];
}
