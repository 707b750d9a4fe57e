/** `ottavia healthmonitor …`. Source: contract clients.md 4.5. */
import { HEALTH_MONITOR_TYPES, HTTP_METHODS } from '../../model/health-monitor.ts';
import { between, CHANGE, enabling, integer, NAME, noun, option, PROJECT_FILTER } from '../noun.ts';

const SENTENCE = 'Health monitors: how the members of a pool are checked';
const TIMES = { read: between(1, 10) };

export const healthMonitor = noun('healthmonitor', 'Load balancing:', SENTENCE, {
  names: ['healthmonitor', 'hm'],
  parentField: { kind: 'pool', field: 'pool_id' },
  tagged: true,
  columns: 'id name type delay timeout admin_state_up provisioning_status operating_status',
  unset: 'name max-retries-down http-method url-path expected-codes http-version domain-name',
  options: [
    NAME,
    ...enabling('admin_state_up'),
    PROJECT_FILTER,
    option('--pool <pool>', 'Those of this pool', 'list'),
    option('--type <type>', 'How members are asked', 'create!', { choices: HEALTH_MONITOR_TYPES }),
    option('--delay <seconds>', 'Between two checks', 'create! set', { read: integer }),
    option('--timeout <seconds>', 'How long one check may take', 'create! set', { read: integer }),
    option('--max-retries <count>', 'Good checks until a member is up again, 1 to 10', 'create! set', TIMES),
    option('--max-retries-down <count>', 'Bad checks until a member is down, 1 to 10', CHANGE, TIMES),
    option('--http-method <method>', 'How the path is asked for', CHANGE, { choices: HTTP_METHODS }),
    option('--url-path <path>', 'What is asked for'),
    option('--expected-codes <codes>', '200, 200,202 or 200-204'),
    option('--http-version <version>', 'Of the request', CHANGE, { choices: ['1.0', '1.1'], read: Number }),
    option('--domain-name <name>', 'The Host header of a check'),
  ],
});
