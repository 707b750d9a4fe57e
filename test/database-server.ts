/** Real MariaDB and PostgreSQL servers, started privately for tests and benchmarks; both refuse to run as root. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const POSTGRES = globSync('/usr/lib/postgresql/*/bin/initdb').map(dirname).at(-1);
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
  /** The server is killed, and comes back after a while; whoever uses it finds out by himself when. */
  restart(afterMs: number): Promise<void>;
  /** It does not answer for so long, and loses nothing. Of PostgreSQL only new connections have to wait. */
  halt(forMs: number): Promise<void>;
}

/** On a socket in a directory of its own; all is gone when it is disposed of. */
export async function startDatabaseServer(kind: ServerKind): Promise<DatabaseServer> {
  // Memory, where there is some: the tests are about answers, not about a disk.
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : '/tmp', 'ottavia-db-'));
  chownSync(directory, NOBODY, NOBODY);
  const server = kind === 'MariaDB' ? startMariadb(directory) : startPostgres(directory);
  let again: NodeJS.Timeout | undefined;
  const startAgain = () => {
    server.process = server.start();
    // PostgreSQL ends by itself while processes of the one before are on their way out.
    server.process.once('exit', () => {
      again = setTimeout(startAgain, 100);
    });
  };
  const end = async (signal: NodeJS.Signals) => {
    clearTimeout(again);
    const child = server.process.removeAllListeners('exit');
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  };
  const dispose = async () => {
    // Unlike SIGTERM it does not have PostgreSQL wait for whoever is still connected.
    await end('SIGQUIT');
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
    async halt(forMs) {
      server.process.kill('SIGSTOP');
      await sleep(forMs);
      server.process.kill('SIGCONT');
    },
    async restart(afterMs) {
      await end('SIGKILL');
      await sleep(afterMs);
      startAgain();
    },
    [Symbol.asyncDispose]: dispose,
  };
}

interface Server {
  process: ChildProcess;
  start(): ChildProcess;
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
  const start = () => spawn(MARIADB!, options, background);
  return {
    ...{ start, process: start() },
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
  const start = () => spawn(`${POSTGRES}/postgres`, options, background);
  return {
    ...{ start, process: start() },
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
