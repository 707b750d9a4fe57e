/** All migrations, by name and in order. A migration that has been released is never changed. */
import type { Migration } from 'kysely/migration';
import { initial } from './0001-initial.ts';
import { l7 } from './0002-l7.ts';
import { operators } from './0003-operators.ts';
import { identity } from './0004-identity.ts';
import { network } from './0005-network.ts';
import { secrets } from './0006-secrets.ts';
import { haproxyChanges } from './0007-haproxy-changes.ts';
import { secretUses } from './0008-secret-uses.ts';
import { portLimits } from './0009-port-limits.ts';
import { vrrpGroups } from './0011-vrrp-groups.ts';
import { amphoraDoubts } from './0012-amphora-doubts.ts';
import { statusEvents } from './0014-status-events.ts';
import { amphoraBuiltFor } from './0015-amphora-built-for.ts';
import { passProgress } from './0016-pass-progress.ts';

export const migrations: Record<string, Migration> = {
  '0001-initial': initial,
  '0002-l7': l7,
  '0003-operators': operators,
  '0004-identity': identity,
  '0005-network': network,
  '0006-secrets': secrets,
  '0007-haproxy-changes': haproxyChanges,
  '0008-secret-uses': secretUses,
  '0009-port-limits': portLimits,
  '0011-vrrp-groups': vrrpGroups,
  '0012-amphora-doubts': amphoraDoubts,
  '0014-status-events': statusEvents,
  '0015-amphora-built-for': amphoraBuiltFor,
  '0016-pass-progress': passProgress,
};
