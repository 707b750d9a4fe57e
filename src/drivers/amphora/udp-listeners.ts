/** UDP and SCTP listeners on an agent: each has a configuration of its own. Source: contract amphora-agent.md 3, 4.2 and 10. */
import { TerminalError } from '../../lib/errors.ts';
import type { Amphora } from '../../model/amphora.ts';
import type { AgentListener } from '../../wire/agent-api.ts';
import type { AgentConnection } from './agent-connection.ts';
import type { AmphoraConfig } from './amphora.ts';

/**
 * What is there is asked of the agent, so that a listener whose removal a crash prevented goes as well; first, because a new one may want
 * its port. A text that is there is not sent again, but a reload is always asked for: whoever sent it may have died before.
 */
export async function applyUdpListeners(
  connection: AgentConnection,
  amphora: Amphora,
  wanted: AmphoraConfig['udp_listeners'],
): Promise<void> {
  const { json } = await connection.request({ method: 'GET', path: 'listeners' });
  const present = (json as AgentListener[]).filter(each => each.type === 'UDP').map(each => each.uuid);
  const ids = wanted.map(each => each.listener_id);
  for (const id of present.filter(each => !ids.includes(each))) {
    await connection.request({ method: 'DELETE', path: `listeners/${id}`, tolerated: [404] });
  }
  for (const { listener_id: id, keepalived_conf: body } of wanted) {
    const path = `listeners/${id}/udp_listener`;
    const shown = await connection.request({ method: 'GET', path, tolerated: [404] });
    if (shown.status !== 200 || shown.text !== body) {
      const upload = `listeners/${amphora.id}/${id}/udp_listener`;
      const sent = await connection.request({ method: 'PUT', path: upload, body, tolerated: [400] });
      if (sent.status === 400) {
        throw new TerminalError(
          `Amphora ${amphora.id} rejects the configuration of listener ${id}: ${sent.text}`,
        );
      }
    }
    await connection.request({ method: 'PUT', path: `loadbalancer/${id}/reload` });
  }
}
