// A PostgreSQL server of a test's own: its data in a folder of its own, reached over a socket in it.
// It ends with the test's process, however that ends.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, existsSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
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

export class Postgres {
  constructor(settings = {}) {
    // In /tmp whatever TMPDIR says: another user has to reach it, and a socket's path is short.
    this.dir = mkdtempSync('/tmp/gw-postgres-');
    if (become.length) execFileSync('chown', ['postgres:', this.dir]);
    const [command, args] = as(program('initdb'), '--no-sync', '--auth=trust', '--username=gateway', '--encoding=UTF8',
      '--locale=C', `--pgdata=${this.dir}/data`);
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

  // SIGTERM: smart, SIGINT: fast, SIGQUIT: as in a crash.
  async stop(signal = 'SIGINT') {
    if (!this.child) return;
    this.child.kill(signal);
    await this.gone;
    this.child = undefined;
  }
  async remove() {
    await this.stop('SIGQUIT');
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
    if (this.child && !this.sql('postgres', `SELECT 1 FROM pg_database WHERE datname='${database}'`)) this.sql('postgres', `CREATE DATABASE "${database}"`);
    return `host=${this.dir} user=gateway dbname=${database}`;
  }
}
