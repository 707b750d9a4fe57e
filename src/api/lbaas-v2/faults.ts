/** Failures as Neutron told them: the type and the status by which old clients know what went wrong. Source: contract lbaasv2.md 3, 6.3. */
import { Fault, type FaultKind, STATUS_OF } from '../../lib/errors.ts';
import { type Answer, faultAnswer, toFault } from '../faults.ts';

/** A rule that only the old API had, or to which it gave another status. */
export class OldFault extends Fault {
  /** The name of Neutron's exception. */
  readonly type: string;
  constructor(kind: FaultKind, type: string, sentence: string) {
    super(kind, sentence);
    this.type = type;
  }
}

/** What Octavia's rules are called in the old API, by their sentences; some have another status there. */
const RULES: readonly [kind: FaultKind, words: RegExp, type: string, as?: FaultKind][] = [
  ['invalid', /has children/, 'EntityInUse', 'conflict'],
  ['invalid', /attribute session_persistence/, 'SessionPersistenceConfigurationInvalid'],
  ['invalid', /attribute provider\./, 'ServiceProviderNotFound'],
  ['invalid', /The network has no subnet/, 'VipNetworkInvalid'],
  ['invalid', /attribute key\./, 'L7RuleInvalidKey'],
  ['invalid', /attribute compare_type\./, 'L7RuleUnsupportedCompareType'],
  ['invalid', /attribute value\..*regular expression/, 'L7RuleInvalidRegex'],
  ['invalid', /no value of a COOKIE rule/, 'L7RuleInvalidCookieValue'],
  ['invalid', /no value of a \w+ rule/, 'L7RuleInvalidHeaderValue'],
  ['forbidden', /^Quota has been met/, 'OverQuota', 'conflict'],
  ['not-found', /^Member /, 'MemberNotFoundForPool'],
  ['not-found', /^L7 ?Rule /i, 'RuleNotFoundForL7Policy'],
  ['conflict', /already using protocol_port/, 'LoadBalancerListenerProtocolPortExists'],
  ['conflict', /already has a default pool/, 'ListenerDefaultPoolAlreadySet'],
  ['conflict', /already has a health monitor/, 'OneHealthMonitorPerPool'],
  ['conflict', /member on this pool is already using/, 'MemberExists'],
];

const TYPES: Partial<Record<FaultKind, string>> = {
  invalid: 'HTTPBadRequest',
  forbidden: 'PolicyNotAuthorized',
  'not-found': 'EntityNotFound',
  conflict: 'StateInvalid',
  'too-large': 'HTTPRequestEntityTooLarge',
  unsupported: 'HTTPNotImplemented',
  unavailable: 'ServiceUnavailable',
};

/** The body of a failed request; that a token is missing is told as everywhere. */
export function oldFaultAnswer(error: unknown): Answer {
  const fault = toFault(error);
  if (fault?.kind === 'unauthorized') return faultAnswer(error);
  if (!fault) {
    const { status, body } = faultAnswer(error);
    return {
      status,
      body: neutronError('HTTPInternalServerError', (body as { faultstring: string }).faultstring),
    };
  }
  const { kind, message } = fault;
  if (fault instanceof OldFault) return { status: STATUS_OF[kind], body: neutronError(fault.type, message) };
  const rule = RULES.find(([ruleKind, words]) => ruleKind === kind && words.test(message));
  const type = rule?.[2] ?? TYPES[kind] ?? 'HTTPClientError';
  return { status: STATUS_OF[rule?.[3] ?? kind], body: neutronError(type, message) };
}

const neutronError = (type: string, message: string) => ({ NeutronError: { type, message, detail: '' } });
