/** Writes what amphorae counted to the rows of their listeners: many rows in one statement, whatever they hold. */
import { CompiledQuery, MysqlAdapter, PostgresAdapter } from 'kysely';
import type { StatisticsChange } from '../model/health.ts';
import type { Trx } from './schema.ts';

const KEY = ['listener_id', 'amphora_id'] as const;
const COUNTERS = [
  'bytes_in',
  'bytes_out',
  'total_connections',
  'request_errors',
  'active_connections',
] as const;
const COLUMNS = [...KEY, ...COUNTERS];
const MOST_ROWS = 256;

type How = StatisticsChange['how'];

/** Remembers the text of its statements, which takes longer to make than to run. */
export class CounterRows {
  readonly #texts = new Map<string, string>();

  /** Added in SQL, so that no counter is lost to another writer; in the order of the rows, so that two writers do not deadlock. */
  async write(trx: Trx, changes: readonly StatisticsChange[]): Promise<void> {
    const seen = new Map<string, Map<string, number>>();
    // A statement has each row once; of two changes of a row the first one goes before.
    const turnOf = ({ listener_id, amphora_id }: StatisticsChange) => {
      const ofAmphora = seen.get(amphora_id) ?? new Map<string, number>();
      const turn = (ofAmphora.get(listener_id) ?? 0) + 1;
      seen.set(amphora_id, ofAmphora.set(listener_id, turn));
      return turn;
    };
    const groups = Map.groupBy(changes, change => `${turnOf(change)} ${change.how}`);
    for (const group of [...groups].sort(([a], [b]) => Number.parseInt(a, 10) - Number.parseInt(b, 10))) {
      const rows = group[1].sort((a, b) => (a.listener_id < b.listener_id ? -1 : 1));
      for (let at = 0, size = MOST_ROWS; at < rows.length; at += size) {
        // Few sizes, so that there are few statements to remember, here and in the database.
        while (size > rows.length - at) size /= 2;
        await this.#writeRows(trx, rows.slice(at, at + size));
      }
    }
  }

  async #writeRows(trx: Trx, rows: readonly StatisticsChange[]): Promise<void> {
    const { how } = rows[0]!;
    const key = `${how} ${rows.length}`;
    const text = this.#texts.get(key) ?? updateText(how, rows.length, trx.getExecutor().adapter);
    this.#texts.set(key, text);
    const values: unknown[] = [];
    for (const row of rows) for (const column of COLUMNS) values.push(row[column]);
    const { numAffectedRows } = await trx.executeQuery(CompiledQuery.raw(text, values));
    if (Number(numAffectedRows) < rows.length) await insertMissing(trx, rows);
  }
}

/** The one statement that databases have no common words for: an update from a table of values. */
function updateText(how: How, size: number, adapter: object): string {
  const isMysql = adapter instanceof MysqlAdapter;
  const on = KEY.map(column => `s.${column} = v.${column}`).join(' and ');
  const set = COUNTERS.map(column => {
    const before = how === 'set' || column === 'active_connections' ? '' : `s.${column} + `;
    return `${isMysql ? 's.' : ''}${column} = ${before}v.${column}`;
  });
  const repeat = (row: string, separator: string) => Array(size).fill(row).join(separator);
  if (isMysql) {
    const rows = repeat(`select ${COLUMNS.map(column => `? as ${column}`)}`, ' union all ');
    return `update (${rows}) as v straight_join listener_statistics as s on ${on} set ${set}`;
  }
  const rows = repeat(`(?, ?${', cast(? as bigint)'.repeat(COUNTERS.length)})`, ', ');
  const text = `update listener_statistics as s set ${set} from (with v (${COLUMNS}) as (values ${rows}) select * from v) as v where ${on}`;
  let place = 0;
  return adapter instanceof PostgresAdapter ? text.replaceAll('?', () => `$${++place}`) : text;
}

async function insertMissing(trx: Trx, rows: readonly StatisticsChange[]): Promise<void> {
  const present = await trx
    .selectFrom('listener_statistics')
    .select(KEY)
    .where('listener_id', 'in', [...new Set(rows.map(row => row.listener_id))])
    .where('amphora_id', 'in', [...new Set(rows.map(row => row.amphora_id))])
    .execute();
  const isThere = new Set(present.map(row => row.listener_id + row.amphora_id));
  const missing = rows.filter(row => !isThere.has(row.listener_id + row.amphora_id));
  if (missing.length === 0) return;
  await trx
    .insertInto('listener_statistics')
    .values(missing.map(({ how: _, ...row }) => row))
    .execute();
}
