/**
 * A PostgreSQL server for tests: a cluster of its own, on a free port of loopback and on a socket in its
 * directory, with a database for each test. Everything is durable in it as by default: what the program asks
 * for is there. It never outlives the test.
 *
 * `postgres`, who may do everything, needs no password; everybody else does.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, type QueryResultRow } from 'pg';
import { isInMemory, KeptProcess, NOT_ROOT, serverDirectory } from './kept-process.ts';
import { postgresProgram, type Version } from './postgres-program.ts';

/** The first line that fits decides. */
const ACCESS = `
local all all trust
hostssl all by_certificate all cert
host all postgres all trust
host replication postgres all trust
host all all all scram-sha-256
`;

const INITDB = [
  '--no-sync',
  '--auth=trust',
  '--username=postgres',
  '--no-locale',
  '--encoding=UTF8',
];
/** What it makes, once for all test files and runs, by version. */
const INITIALIZED = fileURLToPath(new URL('../../build/initialized/', import.meta.url));

/** Nothing that a test has is this large. */
const SETTINGS = `
listen_addresses = '127.0.0.1'
unix_socket_directories = '.'
lc_messages = 'C'
shared_buffers = '8MB'
autovacuum = off
checkpoint_timeout = '1h'
`;

/** How a start ends. */
const READY = /database system is ready to accept (?:read-only )?connections/;
const PORT_TAKEN = /could not bind/;
/** Not what it says to clients that come too early, or were there before. */
const FAILED = /FATAL: {2}(?!the database system is|terminating connection).*/;
const STARTED = new RegExp(`${READY.source}|${PORT_TAKEN.source}|${FAILED.source}`);

export interface PostgresOptions {
  readonly version?: Version;
  /** Lines of postgresql.conf. */
  readonly settings?: string;
  /** One that waits for a primary, which never comes if it is not in the settings. */
  readonly isStandby?: boolean;
  /** The directory of the data of a server that is stopped. */
  readonly copyOf?: string;
  /** Directories that anybody can write to, for its data and for its log of writes, in place of its own. */
  readonly places?: { readonly data: string; readonly log: string };
}

export class PostgresServer implements AsyncDisposable {
  readonly directory: string;
  readonly data: string;
  readonly version: Version;
  readonly port: number;
  readonly #process: KeptProcess;
  #databases = 0;
  #kept = 0;

  static async start(options: PostgresOptions = {}): Promise<PostgresServer> {
    const { version = 18 } = options;
    const prefix = await postgresProgram(version);
    for (;;) {
      await using held = new AsyncDisposableStack();
      const server = held.use(new PostgresServer(version, prefix, await freePort(), options));
      if (!(await server.start())) continue;
      held.move();
      return server;
    }
  }

  private constructor(version: Version, prefix: string, port: number, options: PostgresOptions) {
    this.version = version;
    this.port = port;
    this.directory = serverDirectory();
    const { copyOf, settings = '', places } = options;
    this.data = join(places?.data ?? this.directory, 'data');
    const bin = join(this.#reachable(prefix), 'bin');
    const command = [join(bin, 'postgres'), '-D', this.data, '-p', String(port)];
    this.#process = new KeptProcess(this.directory, command, 'QUIT');
    if (copyOf !== undefined) copyData(copyOf, this.data);
    else this.#initialize(bin);
    if (places) this.#moveLog(join(places.log, 'log'));
    const own = copyOf === undefined ? SETTINGS : '';
    appendFileSync(join(this.data, 'postgresql.conf'), `${own}\n${settings}\n`);
    writeFileSync(join(this.data, 'pg_hba.conf'), ACCESS);
    if (options.isStandby) this.write('standby.signal', '');
  }

  /** One that follows this server, which is stopped meanwhile. */
  async standby(): Promise<PostgresServer> {
    const settings = `primary_conninfo = 'host=127.0.0.1 port=${this.port} user=postgres sslmode=disable'`;
    const { version } = this;
    await this.stop();
    try {
      return await PostgresServer.start({ version, settings, isStandby: true, copyOf: this.data });
    } finally {
      await this.start();
    }
  }

  /** As it is now that it is stopped. */
  keep(): string {
    const kept = join(this.directory, `kept-${this.#kept++}`);
    copyData(this.data, kept);
    return kept;
  }

  /** Of a server that is stopped: it has what it had when that was kept. */
  putBack(kept: string): void {
    rmSync(this.data, { recursive: true });
    copyData(kept, this.data);
  }

  /** The same with what it has logged since, as far as the point of this name (`pg_create_restore_point`). */
  recover(kept: string, point: string): void {
    const log = join(this.directory, 'log-since');
    copyData(join(this.data, 'pg_wal'), log);
    this.putBack(kept);
    const settings = { restore_command: `cp "${log}/%f" "%p"`, recovery_target_name: point };
    const lines = Object.entries({ ...settings, recovery_target_action: 'promote' });
    const text = lines.map(([name, value]) => `${name} = '${value}'\n`).join('');
    appendFileSync(join(this.data, 'postgresql.conf'), text);
    this.write('recovery.signal', '');
  }

  /** Also after a stop. False if another program took the port. */
  async start(): Promise<boolean> {
    const from = this.#process.log.length;
    this.#process.start();
    const line = await this.#process.until(STARTED, from);
    assert.doesNotMatch(line, /^FATAL/);
    return READY.test(line);
  }

  /** `SIGINT` rolls back what is under way, `SIGQUIT` is as a crash. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
    const from = this.#process.log.length;
    process.kill(this.pid, signal);
    await this.#process.until(/database system is shut down/, from);
  }

  /** As the system does when it is short of memory: what its processes have begun ends by itself. */
  async kill(): Promise<void> {
    const { pid } = this;
    const others = childrenOf(pid);
    process.kill(pid, 'SIGKILL');
    while (others.some((other) => parentOf(other) !== undefined)) await sleep(20);
    // Nobody may have waited for the process: its number still is one.
    rmSync(join(this.data, 'postmaster.pid'));
  }

  /** Of the process that starts all others. */
  get pid(): number {
    return Number.parseInt(readFileSync(join(this.data, 'postmaster.pid'), 'utf8'), 10);
  }

  /** Waits until it has logged that. */
  logged(wanted: RegExp): Promise<string> {
    return this.#process.until(wanted);
  }

  /** All that it wrote. */
  get log(): string {
    return this.#process.log;
  }

  url(database = 'postgres', user = 'postgres'): string {
    return `postgres://${user}@127.0.0.1:${this.port}/${database}`;
  }

  /** A new one, empty or as `template` is, to which nobody may be connected. */
  async database(template = 'template1'): Promise<string> {
    const name = `test_${this.#databases++}`;
    // By its files, which have to be synced then, takes the processor a third of by its blocks.
    const strategy = isInMemory(this.directory) ? 'file_copy' : 'wal_log';
    await this.sql(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY ${strategy}`);
    return this.url(name);
  }

  /** One statement, or several without values, on a connection of its own. */
  async sql<R extends QueryResultRow>(
    text: string,
    values: unknown[] = [],
    database = 'postgres',
  ): Promise<R[]> {
    // To compile a check takes longer than to run it.
    const options = '-c jit=off';
    const client = new Client({ connectionString: this.url(database), ssl: false, options });
    await client.connect();
    try {
      return (await client.query<R>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** In force for connections from now on. */
  async set(name: string, value: string): Promise<void> {
    await this.sql(`ALTER SYSTEM SET ${name} = '${value}'`);
    await this.#reload();
  }

  async reset(name: string): Promise<void> {
    await this.sql(`ALTER SYSTEM RESET ${name}`);
    await this.#reload();
  }

  /** Commits wait for a standby that never comes, until `synchronous_standby_names` is reset. */
  async holdCommits(): Promise<void> {
    await this.set('synchronous_standby_names', 'ghost');
    const waiting = `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`;
    // One of its processes may not have heard of it yet.
    for (let isHeld = false; !isHeld; ) {
      let isOver = false;
      const asked = this.sql(`SELECT pg_logical_emit_message(true, 'asked', '')`).then(() => {
        isOver = true;
      });
      while (!isHeld && !isOver) isHeld = (await this.sql(waiting)).length > 0;
      await asked;
    }
  }

  async #reload(): Promise<void> {
    const from = this.log.length;
    await this.sql('SELECT pg_reload_conf()');
    await this.#process.until(/received SIGHUP/, from);
  }

  /** In the directory of its data; nobody else can read it. */
  write(name: string, content: string): void {
    const path = join(this.data, name);
    writeFileSync(path, content, { mode: 0o600 });
    if (NOT_ROOT.uid !== undefined) chownSync(path, NOT_ROOT.uid, NOT_ROOT.gid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }

  /** A checkout of root may be closed to others. */
  #reachable(prefix: string): string {
    const { status } = spawnSync(join(prefix, 'bin', 'postgres'), ['--version'], NOT_ROOT);
    if (status === 0) return prefix;
    const copy = join(this.directory, 'program');
    cpSync(prefix, copy, { recursive: true, verbatimSymlinks: true });
    // What is root's would stay.
    spawnSync('chown', ['-R', `${NOT_ROOT.uid}:${NOT_ROOT.gid}`, copy]);
    return copy;
  }

  /** Ten times as fast as `initdb`, but for the first server of its kind. */
  #initialize(bin: string): void {
    const { stdout: version } = spawnSync(join(bin, 'postgres'), ['--version'], {
      encoding: 'utf8',
    });
    const kept = join(INITIALIZED, hash('sha256', `${version}${INITDB.join()}`));
    if (!existsSync(kept)) {
      this.#run(join(bin, 'initdb'), '--pgdata', this.data, ...INITDB);
      keepData(this.data, kept);
    } else copyData(kept, this.data);
  }

  #moveLog(place: string): void {
    const own = join(this.data, 'pg_wal');
    copyData(own, place);
    rmSync(own, { recursive: true });
    symlinkSync(place, own);
  }

  #run(program: string, ...args: string[]): void {
    const { status, error, stderr } = spawnSync(program, args, {
      cwd: this.directory,
      env: { PATH: process.env.PATH },
      encoding: 'utf8',
      ...NOT_ROOT,
    });
    assert.equal(status, 0, `${program}: ${error?.message ?? stderr}`);
  }
}

function childrenOf(pid: number): number[] {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return all.map(Number).filter((other) => parentOf(other) === pid);
}

/** undefined if there is no such process, or it has ended. */
function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // After the name, which may have any character in it: state and parent (proc(5)).
    const [, state, parent] = /\) (\S) (\d+) [^)]*$/.exec(stat)!;
    return state === 'Z' ? undefined : Number(parent);
  } catch {
    return undefined;
  }
}

/** As a whole or not at all; another test file may be at it, too. */
function keepData(data: string, kept: string): void {
  mkdirSync(dirname(kept), { recursive: true });
  const partial = `${kept}.${process.pid}`;
  copyData(data, partial);
  try {
    renameSync(partial, kept);
  } catch (error) {
    rmSync(partial, { recursive: true });
    if (!existsSync(kept)) throw error;
  }
}

/** With its owners. */
function copyData(from: string, to: string): void {
  const { status, stderr } = spawnSync('cp', ['-a', from, to], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
