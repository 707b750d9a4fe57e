/** `ottavia member …`. Source: contract clients.md 4.4; `set-all` is the batch call. Source: contract api.md 8.3. */
import { CliError } from '../cli-error.ts';
import { addWait, readYaml, run, waitForChange } from '../command.ts';
import { between, CHANGE, enabling, NAME, noun, option, port } from '../noun.ts';
import { collectionOf, resolveNames } from '../resolve.ts';

export const member = noun('member', 'Load balancing:', 'Members of a pool: addresses that traffic goes to', {
  tagged: true,
  columns: 'id name address protocol_port weight provisioning_status operating_status',
  unset: 'name weight backup monitor-address monitor-port',
  options: [
    NAME,
    ...enabling('admin_state_up'),
    option('--address <address>', 'Its address', 'create!'),
    option('--protocol-port <number>', 'Its port', 'create!', { read: port }),
    option('--weight <weight>', '0 to 256; 0 takes no new connections', CHANGE, { read: between(0, 256) }),
    option('--subnet-id <subnet>', 'The subnet it is reached through', 'create'),
    option('--monitor-address <address>', 'Checked instead of its address'),
    option('--monitor-port <number>', 'Checked instead of its port', CHANGE, { read: port }),
    option('--enable-backup', 'Used only when all others are down', CHANGE, { field: 'backup', value: true }),
    option('--disable-backup', 'Used like the others', CHANGE, { field: 'backup', value: false }),
    option('--request-sriov', 'Reach it through an SR-IOV port', 'create', { value: true }),
  ],
  extend(command, context) {
    const all = command
      .command('set-all <pool>')
      .description('Make the members of a pool those of a YAML file, in one request')
      .requiredOption('-f, --file <file>', 'A list of members, with the fields of the API')
      .option('--additive', 'Members that are not in the file stay');
    addWait(all);
    run(all, async ([pool = ''], given) => {
      const client = context.connect();
      const read = readYaml(context, given.file!);
      const members = Array.isArray(read) ? read : (read as { members?: unknown } | null)?.members;
      if (!Array.isArray(members))
        throw new CliError(
          `Cannot use ${given.file}: it must hold a list of members, or \`members:\` with one`,
        );
      const path = await collectionOf(client, 'member', pool);
      const query = given.additive ? { additive_only: 'True' } : {};
      await client.request('PUT', path, { members: await resolveNames(client, members) }, query);
      const owner = path.replace(/\/members$/, '');
      await waitForChange(context, client, await client.get(owner), owner, given);
    });
  },
});
