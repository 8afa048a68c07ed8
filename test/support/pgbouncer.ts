/**
 * PgBouncer before a PostgreSQL server, for tests: what stands between most programs and their database. It never
 * outlives the test. To the server every client of it is `postgres`.
 */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeptProcess, serverDirectory } from './kept-process.ts';
import { freePort, type PostgresServer } from './postgres.ts';
import { PGBOUNCER } from './postgres-program.ts';

export class PgBouncer implements AsyncDisposable {
  readonly #process: KeptProcess;
  readonly #port: number;
  readonly #server: PostgresServer;

  /** `mode`: what a session of the server is given for. Two are there, for any number of clients. */
  static async before(
    server: PostgresServer,
    mode: 'transaction' | 'statement',
  ): Promise<PgBouncer> {
    for (;;) {
      const pooler = new PgBouncer(server, mode, await freePort());
      pooler.#process.start();
      const line = await pooler.#process.until(/process up|FATAL .*/);
      if (!line.startsWith('FATAL')) return pooler;
      await pooler[Symbol.asyncDispose]();
    }
  }

  private constructor(server: PostgresServer, mode: string, port: number) {
    assert.ok(existsSync(PGBOUNCER), `${PGBOUNCER}: not there`);
    const directory = serverDirectory();
    const file = join(directory, 'pgbouncer.ini');
    const lines = [
      '[databases]',
      `* = host=127.0.0.1 port=${server.port} user=postgres`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = any',
      `pool_mode = ${mode}`,
      'default_pool_size = 2',
      // A test may have a hundred databases, and the server has fewer connections.
      'server_idle_timeout = 1',
    ];
    writeFileSync(file, lines.join('\n'));
    this.#process = new KeptProcess(directory, [PGBOUNCER, file], 'KILL');
    this.#port = port;
    this.#server = server;
  }

  through(url: string): string {
    return url.replace(`127.0.0.1:${this.#server.port}`, `127.0.0.1:${this.#port}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}
