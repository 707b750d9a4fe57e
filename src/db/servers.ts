/** MariaDB, MySQL and PostgreSQL as kysely's dialects expect them, set up so that all databases answer alike. */
import { CompiledQuery, type Dialect, type MysqlConnection, MysqlDialect, PostgresDialect } from 'kysely';
import { createPool } from 'mysql2';
import pg from 'pg';

const CONNECTIONS = 10;
const CONNECT_LIMIT_MS = 10_000;
/** How long a statement waits for rows that others have locked, and how long whoever was halted in a transaction keeps his. */
const LOCK_LIMIT_MS = 10_000;
const BIGINT_OID = 20;

/** undefined when the URL names neither. A `unix_socket` in the query takes the place of host and port. */
export function findServerDialect(url: string): Dialect | undefined {
  // SQLAlchemy writes the driver's name behind a plus; whichever it is, ours takes its place.
  const kind = /^(mysql|mariadb|postgresql|postgres)(\+\w+)?:\/\//.exec(url)?.[1];
  if (kind === undefined) return undefined;
  const { username, password, hostname, port, pathname, searchParams } = new URL(
    url
      .replace(/^[^:]+:/, 'http:')
      .replace('//@', '//nobody@')
      .replace(/@\//, '@localhost/'),
  );
  const place = {
    host: hostname,
    port: port === '' ? undefined : Number(port),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
    socket: searchParams.get('unix_socket') ?? undefined,
  };
  return kind.startsWith('postgres') ? postgres(place) : mysql(place);
}

interface Place {
  host: string;
  port: number | undefined;
  user: string;
  password: string;
  database: string;
  socket: string | undefined;
}

function mysql({ socket, host, port, ...account }: Place): Dialect {
  const pool = createPool({
    ...account,
    ...(socket === undefined ? { host, ...(port !== undefined && { port }) } : { socketPath: socket }),
    connectionLimit: CONNECTIONS,
    connectTimeout: CONNECT_LIMIT_MS,
    charset: 'utf8mb4_bin',
    // As on the others: a number as long as it is exact.
    supportBigNumbers: true,
    decimalNumbers: true,
  });
  pool.on('connection', passOverDone);
  return new MysqlDialect({
    pool,
    async onCreateConnection(connection) {
      for (const statement of [
        // A transaction sees what others committed before each of its statements, as on PostgreSQL.
        'set session transaction isolation level read committed',
        // And nothing else: the driver's own escaping relies on what backslashes mean by default.
        `set session sql_mode = 'STRICT_ALL_TABLES'`,
        // What is in the comment MySQL does not have.
        `set session innodb_lock_wait_timeout = ${LOCK_LIMIT_MS / 1000} /*M!, session idle_transaction_timeout = ${LOCK_LIMIT_MS / 1000} */`,
      ])
        await connection.executeQuery(CompiledQuery.raw(statement));
    },
  });
}

/** A table, a column or an index that is there already, or is not there any more. Source: MariaDB's list of error codes. */
const DONE = [1050, 1051, 1060, 1061, 1091];

/**
 * Statements about tables commit by themselves here. A migration whose process died is run again, and what it had done is done.
 */
function passOverDone(connection: MysqlConnection): void {
  const query = connection.query.bind(connection);
  connection.query = (statement, parameters, callback) =>
    query(
      statement,
      parameters,
      callback &&
        ((error, result) => {
          const { errno } = (error ?? {}) as { errno?: number };
          const isDone =
            errno !== undefined && DONE.includes(errno) && /^(create|alter|drop) /i.test(statement);
          if (isDone) callback(null, { affectedRows: 0, changedRows: 0, insertId: 0 });
          else callback(error, result);
        }),
    );
}

function postgres({ socket, host, port, ...account }: Place): Dialect {
  const pool = new pg.Pool({
    ...account,
    host: socket ?? host,
    ...(port !== undefined && { port }),
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    lock_timeout: LOCK_LIMIT_MS,
    idle_in_transaction_session_timeout: LOCK_LIMIT_MS,
    types: {
      // As on the others: a number, exact up to 2^53.
      getTypeParser: (oid: number, format?: unknown) =>
        oid === BIGINT_OID ? Number : pg.types.getTypeParser(oid, format as 'text'),
    } as never,
  });
  // Whoever uses a connection that is lost is told by his next statement; unheard this would end the process.
  pool.on('error', () => undefined);
  pool.on('connect', client => client.on('error', () => undefined));
  return new PostgresDialect({ pool });
}
