/** What operators set up: quotas, flavors, availability zones, providers; and amphorae. Source: contract clients.md 4.7. */
import { AMPHORA_ROLES, type HaproxyChanges } from '../../model/amphora.ts';
import { AMPHORA_STATUSES } from '../../model/status.ts';
import { printList, printOne, run, runAndPrint } from '../command.ts';
import { KINDS } from '../kinds.ts';
import { DESCRIPTION, enabling, integer, NAME, type Noun, noun, option, PROJECT_FILTER } from '../noun.ts';
import { resolveId } from '../resolve.ts';

const group = 'For operators:';
const COUNTED = 'loadbalancer listener pool member healthmonitor l7policy l7rule';

const quota = noun('quota', group, 'How many of each resource a project may have', {
  verbs: 'list show set unset',
  columns: `project_id ${COUNTED}`,
  unset: COUNTED,
  options: [
    PROJECT_FILTER,
    ...COUNTED.split(' ').map(name =>
      option(`--${name} <count>`, 'How many of these; -1: no limit', 'set', { read: integer }),
    ),
  ],
  extend(command, context) {
    const defaults = command.command('defaults').description('Show what projects without a quota may have');
    runAndPrint(defaults, async (_, given) =>
      printOne(context, await context.connect().get('lbaas/quotas/defaults'), given),
    );
    const reset = command.command('reset <project>').description('Put a quota back to the defaults');
    run(reset, async ([project = '']) => {
      const client = context.connect();
      await client.request('DELETE', `lbaas/quotas/${await resolveId(client, 'project', project)}`);
    });
  },
});

/** The counts on one line, and one for each of the newest starts and reloads. */
function describeChanges({ started, reloaded, runtime, last }: HaproxyChanges): string {
  const lines = last.map(({ at, how, reason }) => `${at.slice(0, 19)} ${how}: ${reason}`);
  return [`reloads ${reloaded}, starts ${started}, changes without either ${runtime}`, ...lines].join('\n');
}

const amphora = noun('amphora', group, 'Amphorae: where the traffic of load balancers flows', {
  verbs: 'list show delete',
  waits: true,
  readable: { haproxy_changes: value => describeChanges(value as HaproxyChanges) },
  columns: 'id loadbalancer_id status role lb_network_ip ha_ip',
  longColumns: 'vrrp_ip compute_id image_id cached_zone cert_expiration created_at',
  actions: [
    { name: 'failover', path: '/failover', method: 'PUT', sentence: 'Replace it, the new before the old' },
    { name: 'configure', path: '/config', method: 'PUT', sentence: "Give it its agent's settings anew" },
    { name: 'stats', path: '/stats', sentence: 'Show what went through it, for each listener' },
  ],
  options: [
    option('--loadbalancer <loadbalancer>', 'Those of this load balancer', 'list'),
    option('--compute-id <id>', 'The one in this instance', 'list'),
    option('--image-id <id>', 'Those made of this image', 'list'),
    option('--role <word>', 'Those with this role', 'list', { choices: AMPHORA_ROLES }),
    option('--status <word>', 'Those with this amphora status', 'list', { choices: AMPHORA_STATUSES }),
  ],
});

const provider = noun('provider', group, 'Providers: what makes load balancers real', {
  verbs: 'list',
  columns: 'name description',
  extend(command, context) {
    const list = command
      .command('capability')
      .description('What flavor profiles and availability zone profiles may set')
      .command('list <provider>')
      .description('List what profiles of a provider may set')
      .option('--flavor', 'Those of flavors only')
      .option('--availability-zone', 'Those of availability zones only');
    runAndPrint(list, async ([name = ''], given) => {
      const client = context.connect();
      const types = ['flavor', 'availability_zone'] as const;
      const chosen = types.filter(type => given[type === 'flavor' ? 'flavor' : 'availabilityZone']);
      const ask = async (type: string) => {
        const rows = await client.list(`lbaas/providers/${encodeURIComponent(name)}/${type}_capabilities`);
        return rows.map(row => ({ type, ...row }));
      };
      const rows = await Promise.all((chosen.length > 0 ? chosen : types).map(ask));
      printList(context, rows.flat(), ['type', 'name', 'description'], given);
    });
  },
});

/** A choice that users make by name, and the provider's settings behind it: flavors and availability zones alike. */
const choice = (what: 'flavor' | 'availabilityzone', words: string, underscored: string): Noun[] => [
  noun(what, group, `${words}s: choices that users make by name`, {
    unset: 'description',
    columns: `${KINDS[what].key === 'id' ? 'id' : ''} name ${underscored}_profile_id enabled description`,
    options: [
      { ...NAME, on: KINDS[what].key === 'id' ? 'create! set list' : 'create! list' },
      option(`--${what}profile <${what}profile>`, 'The settings behind it', 'create! list', {
        field: `${underscored}_profile_id`,
      }),
      DESCRIPTION,
      ...enabling('enabled'),
    ],
  }),
  noun(`${what}profile`, group, `${words} profiles: a provider's settings`, {
    columns: `id name provider_name ${underscored}_data`,
    options: [
      { ...NAME, on: 'create! set list' },
      option('--provider <provider>', 'Whose settings', 'create! set list', { field: 'provider_name' }),
      option(`--${underscored.replace('_', '-')}-data <json>`, 'The settings, a JSON object', 'create! set'),
    ],
  }),
];

export const operatorNouns: readonly Noun[] = [
  quota,
  amphora,
  provider,
  ...choice('flavor', 'Flavor', 'flavor'),
  ...choice('availabilityzone', 'Availability zone', 'availability_zone'),
];
