/** Starts the API: one HTTP server, and what tells who its callers are. */
import type { Policy, ProviderEntry } from '../api/server.ts';
import type { SecretTables } from '../db/secrets.ts';
import type { SecretStore } from '../drivers/certificates/secrets.ts';
import type { AccessLog } from '../drivers/compute/access-log.ts';
import type { NetworkCloud } from '../drivers/network/store.ts';
import { systemClock } from '../lib/clock.ts';
import { Identity } from '../standalone/identity.ts';
import { openKeystone, wwwAuthenticateUriOf } from './access.ts';
import { apiSettingsOf } from './api-settings.ts';
import { writeClientFiles } from './client-files.ts';
import { buildHttpServer, choosePort, localUrl } from './http-server.ts';
import { accessLogOf } from './log-settings.ts';
import { ensureLogin } from './login.ts';
import type { Parts } from './parts.ts';

export interface ApiParts {
  policy: Policy;
  providers: Map<string, ProviderEntry>;
  secrets: SecretStore;
  accessLog: AccessLog | undefined;
  /** The cloud that only a system in one process has, with its client files. */
  standalone?: { directory: string; network: NetworkCloud; secretTables: SecretTables };
}

const STOP_LIMIT_MS = 10_000;

/** Returns the URL when requests are served. */
export async function startApi(parts: Parts, own: ApiParts): Promise<string> {
  const { settings, db, queue, clock, log, started } = parts;
  const { policy, providers, secrets, accessLog, standalone } = own;
  const { bind_host: host, auth_strategy } = settings.api_settings;
  const port = await choosePort(host, settings.api_settings.bind_port);
  const url = localUrl(host, port);
  const isOwn = standalone !== undefined && auth_strategy === 'standalone';
  const login = isOwn ? await ensureLogin(db, standalone.directory) : undefined;
  const tokenLifeMs = settings.ottavia.token_expiration * 1000;
  const keystone = auth_strategy === 'keystone' ? openKeystone(settings, policy) : undefined;
  if (keystone) started.defer(() => keystone.close());
  const identityUri = keystone ? wwwAuthenticateUriOf(settings.keystone_authtoken) : `${url}/identity`;
  const server = buildHttpServer({
    api: {
      ...{ db, queue, clock, log, providers, policy, secrets },
      accessLog: accessLogOf(settings, accessLog),
      settings: apiSettingsOf(settings, identityUri),
    },
    cloud: standalone,
    identity: login && new Identity({ db, clock, tokenLifeMs }),
    keystone: keystone?.authenticate,
  });
  started.defer(() => closeWithin(STOP_LIMIT_MS, server));
  await server.listen({ host, port });
  // Whoever has an account in a Keystone has files of his own.
  if (standalone && !keystone) writeClientFiles(standalone.directory, { url, login });
  return url;
}

/** Lets the requests under way end, but not for ever. */
async function closeWithin(limitMs: number, server: { close(): Promise<unknown> }): Promise<void> {
  const closed = new AbortController();
  const limit = systemClock.sleep(limitMs, closed.signal).catch(() => undefined); // Aborted: all of them ended.
  await Promise.race([server.close(), limit]);
  closed.abort();
}
