/** Who calls: what a token says, the same for every API that we serve. */

export interface Caller {
  user_id: string | null;
  /** null for a token without a project. */
  project_id: string | null;
  /** The domain that the token is scoped to; null for most. */
  domain_id: string | null;
  /** `all` for a token of the whole system. */
  system_scope: string | null;
  roles: readonly string[];
  is_admin: boolean;
  /** The domains that user and project belong to, where the identity tells. */
  user_domain_id?: string | null;
  project_domain_id?: string | null;
}

/** What of a request tells who sent it. */
export interface RequestHeaders {
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Throws `Fault('unauthorized')` when the request has no valid token. */
export type Authenticate = (request: RequestHeaders) => Caller | Promise<Caller>;
