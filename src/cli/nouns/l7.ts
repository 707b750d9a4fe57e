/** `ottavia l7policy …` and `ottavia l7rule …`. Source: contract clients.md 4.6. */
import { L7POLICY_ACTIONS, L7RULE_COMPARE_TYPES, L7RULE_TYPES, REDIRECT_HTTP_CODES } from '../../model/l7.ts';
import { BASICS, CHANGE, enabling, integer, noun, option } from '../noun.ts';

const group = 'Load balancing:';
const NEEDED = 'create! set list';

export const l7policy = noun('l7policy', group, 'L7 policies: what a listener does with certain requests', {
  parentField: { kind: 'listener', field: 'listener_id' },
  tagged: true,
  columns: 'id name listener_id action position admin_state_up provisioning_status',
  unset: 'name description redirect-http-code',
  options: [
    ...BASICS,
    option('--listener <listener>', 'Those of this listener', 'list'),
    option('--action <action>', 'What is done', NEEDED, { choices: L7POLICY_ACTIONS }),
    option('--redirect-pool <pool>', 'Where matching requests go'),
    option('--redirect-url <url>', 'Where clients are sent'),
    option('--redirect-prefix <url>', 'Where clients are sent, with their own path behind it'),
    option('--redirect-http-code <code>', 'Of the answer that sends clients elsewhere', CHANGE, {
      ...{ read: integer, choices: REDIRECT_HTTP_CODES.map(String) },
    }),
    option('--position <number>', 'Its place among those of the listener, from 1', CHANGE, { read: integer }),
  ],
});

export const l7rule = noun('l7rule', group, 'L7 rules: the conditions of an l7policy, which must all match', {
  tagged: true,
  columns: 'id type compare_type key value invert admin_state_up provisioning_status',
  unset: 'invert key',
  options: [
    ...enabling('admin_state_up'),
    option('--type <type>', 'What is looked at', NEEDED, { choices: L7RULE_TYPES }),
    option('--compare-type <type>', 'How it is compared', 'create! set', { choices: L7RULE_COMPARE_TYPES }),
    option('--value <text>', 'What it is compared with', 'create! set'),
    option('--key <name>', 'Of the header, cookie or DN field'),
    option('--invert', 'Matches when the comparison does not', CHANGE, { value: true }),
  ],
});
