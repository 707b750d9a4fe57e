/** Rows of tokens of the standalone identity: found by the hash of the token, which itself is never kept. */
import type { Db, TokenRow } from './schema.ts';

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
export async function deleteToken(db: Db, hash: string): Promise<void> {
  await db.deleteFrom('token').where('hash', '=', hash).execute();
}

/** Tokens whose time is over; nobody can use them any more. */
export async function deleteExpiredTokens(db: Db, nowMs: number): Promise<void> {
  await db.deleteFrom('token').where('expires_at_ms', '<=', nowMs).execute();
}
