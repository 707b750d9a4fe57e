/** Routes for UDP and SCTP listeners, which the kernel balances. Source: contract amphora-agent.md 3 and 5.7. */
import { httpError, Refusal } from '../reply.ts';
import { idOf } from './params.ts';
import type { Route } from './route.ts';

/** Refused, so that no controller takes a listener for served that is not. */
export const upload: Route = () => {
  throw httpError(501, 'This agent serves no UDP or SCTP listeners');
};

export const show: Route = (_parts, request) => {
  const details = `No UDP listener with UUID: ${idOf(request, 'listener')}`;
  throw new Refusal(404, { message: 'UDP Listener Not Found', details });
};
