/** Routes about the agent itself. Source: contract amphora-agent.md 3, 4.2 to 4.4 and 8. */
import { createSecureContext } from 'node:tls';
import { errorChain } from '../../lib/errors.ts';
import { AGENT_API_VERSION } from '../../wire/agent-api.ts';
import { decodeAgentConfig } from '../config.ts';
import { getDetails, getInfo, listListeners } from '../facts.ts';
import { writeWhole } from '../files.ts';
import { ok, Refusal } from '../reply.ts';
import type { Route } from './route.ts';

export const discover: Route = () => ({ status: 200, body: { api_version: AGENT_API_VERSION } });

export const info: Route = async () => ({ status: 200, body: await getInfo() });

export const details: Route = async ({ config, lvs }) => ({
  status: 200,
  body: await getDetails(config.paths, await lvs.list()),
});

export const listeners: Route = async ({ config, lvs }) => ({
  status: 200,
  body: [...listListeners(config.paths), ...(await lvs.list())],
});

/** A file that could not be read again is refused, and the old one stays. */
export const configure: Route = (parts, request) => {
  const { configFile } = parts.config.paths;
  try {
    const text = request.body.toString('utf8');
    decodeAgentConfig(text, configFile);
    writeWhole(configFile, text, 0o600);
  } catch (cause) {
    const message = 'Unable to update amphora-agent configuration.';
    throw new Refusal(500, { message, details: errorChain(cause) }, { cause });
  }
  parts.rereadSettings();
  return ok(202);
};

/** One that no TLS server could show is refused, because the agent could not be told to replace it ever after. */
export const rotateCertificate: Route = (parts, request) => {
  try {
    createSecureContext({ cert: request.body, key: request.body });
  } catch (cause) {
    throw new Refusal(400, { message: 'Invalid certificate', details: errorChain(cause) }, { cause });
  }
  writeWhole(parts.config.paths.serverCertificate, request.body, 0o600);
  parts.rereadCertificate();
  return ok(202);
};
