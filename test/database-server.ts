/** Real MariaDB and PostgreSQL servers, started privately for tests and benchmarks; both refuse to run as root. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const POSTGRES = globSync('/usr/lib/postgresql/*/bin').at(-1);
const MARIADB = existsSync('/usr/sbin/mariadbd') ? '/usr/sbin/mariadbd' : undefined;
const NOBODY = 65_534;
const LIMIT_MS = 60_000;

export const SERVER_KINDS = ['MariaDB', 'PostgreSQL'] as const;
export type ServerKind = (typeof SERVER_KINDS)[number];

/** Why such a server cannot be started here, or undefined when it can. */
export function serverObstacle(kind: ServerKind): string | undefined {
  if ((kind === 'MariaDB' ? MARIADB : POSTGRES) === undefined) return `${kind} is not installed`;
  return process.getuid?.() === 0 ? undefined : 'not root, so no server can be started as nobody';
}

export interface DatabaseServer extends AsyncDisposable {
  /** The database that every server begins with: from there others are made. */
  readonly url: string;
  /** Makes an empty database; what `openDatabase` takes. */
  createDatabase(name: string): string;
  dropDatabase(name: string): void;
}

/** On a socket in a directory of its own; all is gone when it is disposed of. */
export async function startDatabaseServer(kind: ServerKind): Promise<DatabaseServer> {
  // Memory, where there is some: the tests are about answers, not about a disk.
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : '/tmp', 'ottavia-db-'));
  chownSync(directory, NOBODY, NOBODY);
  const server = kind === 'MariaDB' ? startMariadb(directory) : startPostgres(directory);
  const ended = new Promise(resolve => server.process.once('exit', resolve));
  const dispose = async () => {
    server.process.kill('SIGTERM');
    await ended;
    rmSync(directory, { recursive: true });
  };
  const deadline = Date.now() + LIMIT_MS;
  for (;;) {
    try {
      server.query('select 1');
      break;
    } catch (cause) {
      // It is still starting, until it has had its time.
      if (Date.now() > deadline || server.process.exitCode !== null) {
        await dispose();
        throw new Error(`Cannot start ${kind}`, { cause });
      }
      await sleep(50);
    }
  }
  return {
    url: server.url(kind === 'MariaDB' ? 'mysql' : 'postgres'),
    createDatabase(name) {
      server.query(`create database ${name}`);
      return server.url(name);
    },
    dropDatabase: name => server.query(`drop database ${name}`),
    [Symbol.asyncDispose]: dispose,
  };
}

interface Server {
  process: ChildProcess;
  query(statement: string): void;
  url(database: string): string;
}

const asNobody = { uid: NOBODY, gid: NOBODY, stdio: 'pipe', timeout: LIMIT_MS } as const;
const background = { uid: NOBODY, gid: NOBODY, stdio: 'ignore' } as const;

function startMariadb(directory: string): Server {
  const data = `--datadir=${join(directory, 'data')}`;
  const socket = join(directory, 'socket');
  execFileSync(
    'mariadb-install-db',
    ['--no-defaults', data, '--auth-root-authentication-method=normal'],
    asNobody,
  );
  const options = ['--no-defaults', data, `--socket=${socket}`, '--skip-networking', '--skip-log-bin'];
  return {
    process: spawn(MARIADB!, options, background),
    query(input) {
      execFileSync('mariadb', ['--no-defaults', '-S', socket, '-u', 'root', '-N'], {
        ...{ input, stdio: 'pipe', timeout: LIMIT_MS },
      });
    },
    url: name => `mysql+pymysql://root@localhost/${name}?unix_socket=${socket}`,
  };
}

function startPostgres(directory: string): Server {
  const data = join(directory, 'data');
  execFileSync(`${POSTGRES}/initdb`, ['-D', data, '-A', 'trust', '-U', 'ottavia'], asNobody);
  const options = ['-D', data, '-k', directory, '-c', 'listen_addresses='];
  return {
    process: spawn(`${POSTGRES}/postgres`, options, background),
    query(statement) {
      const place = ['-h', directory, '-U', 'ottavia', '-d', 'postgres'];
      execFileSync(`${POSTGRES}/psql`, [...place, '-q', '-c', statement], {
        stdio: 'pipe',
        timeout: LIMIT_MS,
      });
    },
    url: name => `postgresql://ottavia@localhost/${name}?unix_socket=${directory}`,
  };
}
