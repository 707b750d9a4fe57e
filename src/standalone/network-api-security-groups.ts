/** Security groups and their rules. */
import { randomUUID } from 'node:crypto';
import { versionOf } from '../lib/addresses.ts';
import type { SecurityGroupRecord, SecurityGroupRuleRecord } from '../model/cloud-network.ts';
import { findProtocolNumber, IP_PROTOCOLS } from '../model/ip-protocols.ts';
import { absent, conflict, invalid } from './network-api-errors.ts';
import { flag, integer, type Kind, nullable, oneOf, prefix, text, uuid } from './network-api-fields.ts';
import { commonView, isOwner, type Resource, type Write } from './network-api-resource.ts';

const DEFAULT = 'default';

export const securityGroups: Resource<'security_group'> = {
  kind: 'security_group',
  path: 'security-groups',
  singular: 'security_group',
  plural: 'security_groups',
  title: 'Security group',
  fields: {
    name: { kind: text, default: '', put: true },
    description: { kind: text, default: '', put: true },
    // All groups are; clients say it all the same.
    stateful: { kind: flag },
  },
  view: (group, rows) => ({
    ...commonView(group),
    stateful: true,
    shared: false,
    security_group_rules: rows.security_group_rule
      .filter(rule => rule.security_group_id === group.id)
      .map(rule => securityGroupRules.view(rule, rows)),
  }),
  async prepare(write) {
    const { caller, rows } = write;
    if (caller.project_id === null || findDefault(caller.project_id, write)) return;
    const group = {
      id: randomUUID(),
      project_id: caller.project_id,
      name: DEFAULT,
      description: 'Default security group',
    };
    await insertGroup(group, write);
    rows.security_group = await write.cloud.store.list('security_group');
    rows.security_group_rule = await write.cloud.store.list('security_group_rule');
  },
  async create({ stateful, ...body }, write) {
    if (stateful === false)
      throw invalid('Invalid input for stateful. Reason: only stateful groups are known here.');
    const group = { ...body, id: randomUUID() } as SecurityGroupRecord;
    if (group.name === DEFAULT)
      throw conflict('SecurityGroupDefaultAlreadyExists', 'Default security group already exists.');
    await insertGroup(group, write);
    return group.id;
  },
  async update(group, { stateful: _, ...change }, { cloud }) {
    if (group.name === DEFAULT && change.name !== undefined && change.name !== DEFAULT)
      throw conflict('SecurityGroupCannotUpdateDefault', 'Updating default security group not allowed.');
    await cloud.store.update('security_group', group.id, change as Partial<SecurityGroupRecord>);
  },
  async remove(group, { rows, cloud, caller }) {
    if (group.name === DEFAULT && !caller.is_admin)
      throw conflict(
        'SecurityGroupCannotRemoveDefault',
        'Insufficient rights for removing default security group.',
      );
    if (rows.port.some(port => port.security_groups.includes(group.id)))
      throw conflict('SecurityGroupInUse', `Security Group ${group.id} in use.`);
    await cloud.store.delete('security_group', group.id);
  },
};

const findDefault = (projectId: string, { rows }: Write) =>
  rows.security_group.find(group => group.project_id === projectId && group.name === DEFAULT);

/** With the rules that it has from the beginning: everything may go out, and into the default group what comes from it. */
async function insertGroup(group: SecurityGroupRecord, { cloud }: Write): Promise<void> {
  await cloud.store.insert('security_group', group);
  const directions = group.name === DEFAULT ? (['egress', 'ingress'] as const) : (['egress'] as const);
  for (const direction of directions) {
    for (const ethertype of ['IPv4', 'IPv6'] as const) {
      await cloud.store.insert('security_group_rule', {
        ...{ id: randomUUID(), project_id: group.project_id, description: '', security_group_id: group.id },
        ...{ direction, ethertype, protocol: null, port_range_min: null, port_range_max: null },
        ...{ remote_ip_prefix: null, remote_group_id: direction === 'ingress' ? group.id : null },
      });
    }
  }
}

const protocol: Kind = value => {
  const name = value === null ? '' : String(value).toLowerCase();
  if (name === '' || name === 'any') return null;
  return findProtocolNumber(name) === undefined ? oneOf(...Object.keys(IP_PROTOCOLS))(name) : name;
};
const portNumber = nullable(integer(0, 65_535));

export const securityGroupRules: Resource<'security_group_rule'> = {
  kind: 'security_group_rule',
  path: 'security-group-rules',
  singular: 'security_group_rule',
  plural: 'security_group_rules',
  title: 'Security group rule',
  fields: {
    security_group_id: { kind: uuid, required: true },
    direction: { kind: oneOf('ingress', 'egress'), required: true },
    ethertype: {
      kind: value => oneOf('IPv4', 'IPv6')(String(value).replace(/^ipv/i, 'IPv')),
      default: 'IPv4',
    },
    protocol: { kind: protocol, default: null },
    port_range_min: { kind: portNumber, default: null },
    port_range_max: { kind: portNumber, default: null },
    remote_ip_prefix: { kind: nullable(prefix), default: null },
    remote_group_id: { kind: nullable(uuid), default: null },
    remote_address_group_id: { kind: nullable(oneOf(null)) },
    description: { kind: text, default: '' },
  },
  view: rule => ({
    ...commonView(rule),
    remote_address_group_id: null,
    normalized_cidr: rule.remote_ip_prefix,
  }),
  isVisible: (rule, caller, rows) => {
    const group = rows.security_group.find(each => each.id === rule.security_group_id);
    return group !== undefined && isOwner(group, caller);
  },
  async create({ remote_address_group_id: _, ...body }, write) {
    const rule = { ...body, id: randomUUID() } as unknown as SecurityGroupRuleRecord;
    for (const id of [rule.security_group_id, rule.remote_group_id]) {
      const group = write.rows.security_group.find(each => each.id === id);
      if (id !== null && (!group || !isOwner(group, write.caller))) throw absent('Security group', id);
    }
    checkRule(rule);
    const same = write.rows.security_group_rule.find(other => isSame(other, rule));
    if (same)
      throw conflict('SecurityGroupRuleExists', `Security group rule already exists. Rule id is ${same.id}.`);
    await write.cloud.store.insert('security_group_rule', rule);
    return rule.id;
  },
  async update() {
    throw invalid('Security group rules cannot be updated.');
  },
  async remove(rule, { cloud }) {
    await cloud.store.delete('security_group_rule', rule.id);
  },
};

const WITH_PORTS = [6, 17, 33, 132, 136];
const ICMP = [1, 58];

/** Source: Neutron's API reference, security group rules. */
function checkRule(rule: SecurityGroupRuleRecord): void {
  const { port_range_min: min, port_range_max: max, remote_ip_prefix: remote, ethertype } = rule;
  const number = rule.protocol === null ? undefined : findProtocolNumber(rule.protocol)!;
  if (remote && rule.remote_group_id)
    throw invalid(
      'Only remote_ip_prefix or remote_group_id may be provided.',
      'SecurityGroupRemoteGroupAndRemoteIpPrefix',
    );
  const six = ethertype === 'IPv6';
  if ((remote && (versionOf(remote) === 6) !== six) || (number === 58 && !six))
    throw invalid(
      `Conflicting value ethertype ${ethertype} for ${number === 58 ? `protocol ${rule.protocol}` : `CIDR ${remote}`}`,
      'SecurityGroupRuleParameterConflict',
    );
  if (min === null && max === null) return;
  if (number === undefined)
    throw invalid(
      'Must also specify protocol if port range is given.',
      'SecurityGroupProtocolRequiredWithPorts',
    );
  if (ICMP.includes(number)) {
    if (min === null)
      throw invalid(
        `ICMP code (port-range-max) ${max} is provided but ICMP type (port-range-min) is missing.`,
        'SecurityGroupMissingIcmpType',
      );
    if (min > 255 || (max ?? 0) > 255)
      throw invalid(
        'Invalid value for ICMP type or code: it must be from 0 to 255.',
        'SecurityGroupInvalidIcmpValue',
      );
  } else if (!WITH_PORTS.includes(number))
    throw invalid(`Invalid protocol ${rule.protocol} for port range.`, 'SecurityGroupInvalidProtocolForPort');
  else if (min === null || max === null || min > max || min < 1)
    throw invalid(
      'For TCP/UDP protocols, port_range_min must be <= port_range_max',
      'SecurityGroupInvalidPortRange',
    );
}

function isSame(a: SecurityGroupRuleRecord, b: SecurityGroupRuleRecord): boolean {
  const key = ({
    id: _,
    project_id: _1,
    description: _2,
    protocol: name,
    ...rest
  }: SecurityGroupRuleRecord) =>
    JSON.stringify(Object.entries({ ...rest, number: name && findProtocolNumber(name) }).sort());
  return key(a) === key(b);
}
