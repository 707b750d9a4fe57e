import { expect, test } from 'vitest';
import { peerName } from './peer-name.ts';

// Vectors of contract amphora-agent.md 5.2.
test.each([
  ['01742827-7aa1-4e2c-b2d9-6d4f1f200c79', '2mTmbcymLVU8UF0_AOgz9Oa3JUg'],
  ['00000000-0000-0000-0000-000000000000', 'tgLVlK-SsLMn4HoG82ymp_QlRtA'],
  ['00000000-0000-4000-8000-000000000009', 'xmPZnYggPmh74TtL9zsmMW6DYhA'],
])('the peer name of %s', (amphora, name) => {
  expect(peerName(amphora)).toBe(name);
});
