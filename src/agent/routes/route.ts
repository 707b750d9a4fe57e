/** What a route of the agent API is: a request in, a reply out. */
import type { AgentParts } from '../parts.ts';
import type { Reply } from '../reply.ts';

export interface AgentRequest {
  params: Record<string, string>;
  body: Buffer;
}

export type Route = (parts: AgentParts, request: AgentRequest) => Reply | Promise<Reply>;
