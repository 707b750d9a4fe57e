/** `ottavia healthmonitor …`. Source: contract clients.md 4.5. */
import { COMMON_OPTIONS, integer, type Noun, type Option, PROJECT_FILTER, upperCase } from '../noun.ts';

const seconds = (flag: string, field: string, sentence: string): Option => ({
  flags: `--${flag} <seconds>`,
  field,
  read: integer,
  required: true,
  sentence,
});

export const healthMonitor: Noun = {
  names: ['healthmonitor', 'hm'],
  sentence: 'Health monitors: how the members of a pool are checked',
  singular: 'healthmonitor',
  plural: 'healthmonitors',
  parent: { target: 'pool', field: 'pool_id' },
  columns: [
    'id',
    'name',
    'type',
    'delay',
    'timeout',
    'admin_state_up',
    'provisioning_status',
    'operating_status',
  ],
  options: [
    ...COMMON_OPTIONS,
    PROJECT_FILTER,
    {
      flags: '--pool <pool>',
      field: 'pool_id',
      target: 'pool',
      sentence: 'Those of this pool (name or id)',
      verbs: ['list'],
    },
    {
      flags: '--type <type>',
      field: 'type',
      read: upperCase,
      required: true,
      sentence: 'HTTP, HTTPS, PING, TCP, TLS-HELLO, UDP-CONNECT or SCTP',
      verbs: ['create'],
    },
    seconds('delay', 'delay', 'Between two checks'),
    seconds('timeout', 'timeout', 'How long one check may take; less than the delay'),
    {
      flags: '--max-retries <count>',
      field: 'max_retries',
      read: integer,
      required: true,
      sentence: 'Good checks until a member is up again, 1 to 10',
    },
    {
      flags: '--max-retries-down <count>',
      field: 'max_retries_down',
      read: integer,
      sentence: 'Bad checks until a member is down, 1 to 10',
    },
    {
      flags: '--http-method <method>',
      field: 'http_method',
      read: upperCase,
      sentence: 'Such as GET or HEAD',
    },
    { flags: '--url-path <path>', field: 'url_path', sentence: 'What is asked for' },
    { flags: '--expected-codes <codes>', field: 'expected_codes', sentence: '200, 200,202 or 200-204' },
    { flags: '--http-version <version>', field: 'http_version', read: Number, sentence: '1.0 or 1.1' },
    { flags: '--domain-name <name>', field: 'domain_name', sentence: 'The Host header of a check' },
  ],
};
