/** Rows of tokens of the standalone identity: found by the hash of the token, which itself is never kept. */
import type { Scope } from '../model/identity.ts';
import type { Db, TokenRow, Trx } from './schema.ts';

export async function insertToken(db: Db, row: TokenRow): Promise<void> {
  await db.insertInto('token').values(row).execute();
}

/** undefined when there is none, or when its time is over. */
export async function findToken(db: Db, hash: string, nowMs: number): Promise<TokenRow | undefined> {
  const row = await db
    .selectFrom('token')
    .selectAll()
    .where('hash', '=', hash)
    .where('expires_at_ms', '>', nowMs)
    .executeTakeFirst();
  return row && { ...row, issued_at_ms: Number(row.issued_at_ms), expires_at_ms: Number(row.expires_at_ms) };
}

/** Success when it is absent. */
export async function deleteToken(trx: Trx, hash: string): Promise<void> {
  await trx.deleteFrom('token').where('hash', '=', hash).execute();
}

/** All tokens of a user, of a scope, or of the one for the other. */
export async function deleteTokensOf(trx: Trx, of: { user_id?: string; scope?: Scope }): Promise<void> {
  let query = trx.deleteFrom('token');
  if (of.user_id !== undefined) query = query.where('user_id', '=', of.user_id);
  if (of.scope) query = query.where('scope_kind', '=', of.scope.kind).where('scope_id', '=', of.scope.id);
  await query.execute();
}

/** Tokens whose time is over; nobody can use them any more. */
export async function deleteExpiredTokens(db: Db, nowMs: number): Promise<void> {
  await db.deleteFrom('token').where('expires_at_ms', '<=', nowMs).execute();
}
