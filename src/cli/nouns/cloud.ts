/** What a cloud has beside load balancers: projects, users and roles, networks and subnets, by OpenStack's own APIs. */
import { readSync } from 'node:fs';
import { addOptions, fieldsOf, run } from '../command.ts';
import { CHANGE, DESCRIPTION, enabling, integer, NAME, noun, option, pairsOf, reference } from '../noun.ts';
import { resolveNames } from '../resolve.ts';

const group = 'The cloud around them:';
const RENAME = { ...NAME, on: 'set list' };
const OWNER = option('--project <project>', 'Whose it is', 'create list');

/** `-` reads a line of the standard input, so that it need not stand in the history of a shell. */
function password(text: string): string {
  const line = Buffer.alloc(4096);
  return text === '-' ? line.toString('utf8', 0, readSync(0, line)).split(/\r?\n/, 1)[0]! : text;
}

const project = noun('project', group, 'Projects: who owns resources', {
  namedByArgument: true,
  columns: 'id name description enabled',
  options: [RENAME, DESCRIPTION, ...enabling('enabled')],
});

const user = noun('user', group, 'Users: who logs in', {
  namedByArgument: true,
  columns: 'id name default_project_id enabled',
  options: [
    RENAME,
    option('--password <password>', 'What they log in with; -: read it from standard input', CHANGE, {
      read: password,
    }),
    option('--project <project>', 'Where they work unless they say so', CHANGE, {
      field: 'default_project_id',
    }),
    option('--email <address>', 'Where they are reached'),
    DESCRIPTION,
    ...enabling('enabled'),
  ],
});

const WHO_AND_WHERE = [
  option('--user <user>', 'Who', 'create!'),
  option('--project <project>', 'Where', 'create!'),
];

const role = noun('role', group, 'Roles: what users may do in a project', {
  namedByArgument: true,
  verbs: 'create list show delete',
  columns: 'id name description',
  options: [RENAME, DESCRIPTION],
  extend(command, context) {
    const verbs = [
      ['add', 'PUT', 'Give a user a role in a project'],
      ['remove', 'DELETE', 'Take a role in a project from a user'],
    ] as const;
    for (const [verb, method, sentence] of verbs) {
      const sub = command.command(`${verb} <role>`).description(sentence);
      addOptions(sub, WHO_AND_WHERE, 'create');
      run(sub, async ([role_id], given) => {
        const client = context.connect();
        const ids = await resolveNames(client, { role_id, ...fieldsOf(WHO_AND_WHERE, given) });
        const { project_id, user_id } = ids as Record<string, string>;
        await client.request(method, `identity/projects/${project_id}/users/${user_id}/roles/${ids.role_id}`);
      });
    }
  },
});

const network = noun('network', group, 'Networks', {
  namedByArgument: true,
  columns: 'id name subnets status shared',
  options: [
    RENAME,
    DESCRIPTION,
    OWNER,
    option('--share', 'All projects may use it', CHANGE, { field: 'shared', value: true }),
    option('--mtu <bytes>', 'The largest packet', CHANGE, { read: integer }),
    ...enabling('admin_state_up'),
  ],
});

const subnet = noun('subnet', group, 'Subnets of a network: ranges of addresses', {
  namedByArgument: true,
  columns: 'id name network_id cidr gateway_ip',
  options: [
    RENAME,
    DESCRIPTION,
    OWNER,
    option('--network <network>', 'Its network', 'create! list'),
    option('--subnet-range <cidr>', 'Its addresses, such as 10.9.0.0/24', 'create! list', { field: 'cidr' }),
    option('--gateway <address>', 'The way out, or none', CHANGE, { field: 'gateway_ip', read: reference }),
    option(
      '--allocation-pool <range>',
      'Addresses for ports: start=FIRST,end=LAST (repeat for more)',
      CHANGE,
      {
        ...{ field: 'allocation_pools', repeated: true, read: pairsOf('start', 'end') },
      },
    ),
    option('--dns-nameserver <address>', 'A name server (repeat for more)', CHANGE, {
      ...{ field: 'dns_nameservers', repeated: true },
    }),
  ],
  complete(body) {
    body.ip_version = String(body.cidr).includes(':') ? 6 : 4;
  },
});

export const cloudNouns = [project, user, role, network, subnet];
