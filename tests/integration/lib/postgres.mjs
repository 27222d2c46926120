// A PostgreSQL server of a test's own: its data in a folder of its own, reached over a socket in it.
// It ends with the test's process, however that ends.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync,
  writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';

// Debian keeps the server's programs out of PATH, a folder a version.
function program(name) {
  const base = '/usr/lib/postgresql';
  const newest = existsSync(base) && readdirSync(base).map((v) => path.join(base, v, 'bin', name)).filter(existsSync).sort().pop();
  if (!newest) throw new Error('no PostgreSQL here: deploy/install-packages postgres');
  return newest;
}

// PostgreSQL refuses to run as root, so root becomes Debian's user for it.
const become = process.getuid() === 0 ? ['--reuid=postgres', '--regid=postgres', '--init-groups'] : [];
const as = (...command) => ['setpriv', [...become, '--pdeathsig', 'QUIT', ...command]];

// A file system of so many megabytes in memory at `dir`, for the server's user: {full(), room(), unmount()}.
// Throws with the reason where it cannot be mounted.
function smallDisk(dir, megabytes) {
  mkdirSync(dir);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0700`, 'small', dir], { stdio: ['ignore', 'ignore', 'pipe'] });
  if (become.length) execFileSync('chown', ['postgres:', dir]);
  const unmount = () => execFileSync('umount', ['-l', dir]);
  process.once('exit', unmount);
  return {
    // To the last page.
    full() {
      const file = openSync(`${dir}/filler`, 'w');
      try { for (;;) writeSync(file, Buffer.alloc(4096)); } catch (error) { if (error.code !== 'ENOSPC') throw error; }
      closeSync(file);
    },
    room: () => rmSync(`${dir}/filler`),
    unmount() {
      process.off('exit', unmount);
      unmount();
    },
  };
}
// Why there are no small disks here; false where there are.
export function noSmallDisks() {
  if (process.getuid() !== 0) return 'only root may mount a small file system';
  const dir = mkdtempSync('/tmp/gw-disk-');
  try {
    smallDisk(`${dir}/disk`, 1).unmount();
    return false;
  } catch (error) {
    return `a small file system cannot be mounted: ${error.message}`;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

export class Postgres {
  // small: {data?: MB, wal?: MB}: the databases, or the log of commits, on a disk of their own, as `disk`.
  constructor(settings = {}, small = {}) {
    // In /tmp whatever TMPDIR says: another user has to reach it, and a socket's path is short.
    this.dir = mkdtempSync('/tmp/gw-postgres-');
    if (become.length) execFileSync('chown', ['postgres:', this.dir]);
    this.tablespace = Boolean(small.data);
    if (small.data || small.wal) this.disk = smallDisk(`${this.dir}/disk`, small.data ?? small.wal);
    const [command, args] = as(program('initdb'), '--no-sync', '--auth=trust', '--username=gateway', '--encoding=UTF8',
      '--locale=C', `--pgdata=${this.dir}/data`, ...(small.wal ? ['--wal-segsize=1', `--waldir=${this.dir}/disk/wal`] : []));
    execFileSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'], cwd: '/' });
    this.set({ listen_addresses: '', unix_socket_directories: this.dir, shared_buffers: '64MB', log_min_messages: 'warning', ...settings });
  }

  // For the next start, or reload.
  set(settings) {
    for (const [name, value] of Object.entries(settings)) appendFileSync(`${this.dir}/data/postgresql.auto.conf`, `${name} = '${value}'\n`);
  }

  async start() {
    const log = openSync(`${this.dir}/log`, 'a');
    const [command, args] = as(program('postgres'), '-D', `${this.dir}/data`);
    this.child = spawn(command, args, { stdio: ['ignore', log, log], cwd: '/' });
    closeSync(log);
    this.gone = once(this.child, 'exit');
    for (;;) {
      try {
        execFileSync(program('pg_isready'), ['-q', '-h', this.dir]);
        return this;
      } catch {
        if (this.child.exitCode !== null) throw new Error(`PostgreSQL does not start: ${this.log().slice(-2000)}`);
      }
    }
  }
  // A pgbouncer in session mode in front of it: {uri(database), restart(), stop()}.
  async bouncer() {
    const dir = mkdtempSync('/tmp/gw-pgbouncer-');
    writeFileSync(`${dir}/pgbouncer.ini`, `[databases]\n* = host=${this.dir}\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = ${dir}\n` +
      `auth_type = trust\nauth_file = ${dir}/users\npool_mode = session\nlogfile = ${dir}/log\n` +
      `server_reset_query = DISCARD ALL\n`);
    writeFileSync(`${dir}/users`, '"gateway" ""\n');
    if (become.length) execFileSync('chown', ['-R', 'postgres:', dir]);
    const [command, args] = as('/usr/sbin/pgbouncer', '-q', `${dir}/pgbouncer.ini`);
    let child, gone;
    const start = async () => {
      child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'], cwd: '/' });
      gone = once(child, 'exit');
      while (!existsSync(`${dir}/.s.PGSQL.6432`)) {
        if (child.exitCode !== null) throw new Error(`pgbouncer does not start: ${readFileSync(`${dir}/log`, 'utf8')}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    const end = async () => {
      child.kill('SIGTERM');  // at once, whoever is connected
      await gone;
      rmSync(`${dir}/.s.PGSQL.6432`, { force: true });
    };
    await start();
    return {
      uri: (database) => { this.uri(database); return `host=${dir} port=6432 user=gateway dbname=${database}`; },
      restart: async () => {
        await end();
        await start();
      },
      stop: async () => {
        await end();
        rmSync(dir, { recursive: true, force: true });
      },
    };
  }

  log() { return readFileSync(`${this.dir}/log`, 'utf8'); }

  get running() { return this.child?.exitCode === null && this.child.signalCode === null; }

  // SIGTERM: smart, SIGINT: fast, SIGQUIT: as in a crash.
  async stop(signal = 'SIGINT') {
    if (!this.child) return;
    this.child.kill(signal);
    await this.gone;
    this.child = undefined;
  }
  async remove() {
    await this.stop('SIGQUIT');
    this.disk?.unmount();
    rmSync(this.dir, { recursive: true, force: true });
  }

  // One line a row, columns between '|'.
  sql(database, text) {
    return execFileSync(program('psql'), ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', this.dir, '-U', 'gateway', '-d', database, '-c', text],
      { encoding: 'utf8' }).trim();
  }
  dump(database) {
    return execFileSync(program('pg_dump'), ['-h', this.dir, '-U', 'gateway', database], { encoding: 'utf8', maxBuffer: 1 << 28 });
  }
  // A transaction that has run `text` and stays open until the function that this resolves with is called.
  async hold(database, text) {
    const child = spawn(program('psql'), ['-X', '-q', '-A', '-t', '-h', this.dir, '-U', 'gateway', '-d', database], { stdio: ['pipe', 'pipe', 'inherit'] });
    const exit = once(child, 'exit');
    child.stdin.write(`BEGIN;\n\\o /dev/null\n${text};\n\\o\n\\echo held\n`);
    await once(child.stdout, 'data');
    return async () => {
      child.stdin.end('COMMIT;\n');
      await exit;
    };
  }
  // Makes the database if it is not there.
  uri(database) {
    if (this.child && !this.sql('postgres', `SELECT 1 FROM pg_database WHERE datname='${database}'`)) {
      if (this.tablespace && !this.sql('postgres', `SELECT 1 FROM pg_tablespace WHERE spcname='small'`))
        this.sql('postgres', `CREATE TABLESPACE small LOCATION '${this.dir}/disk'`);
      this.sql('postgres', `CREATE DATABASE "${database}" ${this.tablespace ? 'TABLESPACE small' : ''}`);
    }
    return `host=${this.dir} user=gateway dbname=${database}`;
  }
}
