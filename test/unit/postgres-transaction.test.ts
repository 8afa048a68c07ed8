/** What a transaction promises, and what happens to one whose connection is lost in each of its steps. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { VanityError } from '../../src/errors.ts';
import { Connection } from '../../src/store/postgres/connection.ts';
import { CommitUnknown, ServerError } from '../../src/store/postgres/error.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import type { Transaction } from '../../src/store/postgres/transaction.ts';
import { PostgresServer } from '../support/postgres.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { type Judge, PostgresProxy } from '../support/postgres-proxy.ts';

const skip = await withoutPostgres(18);
/** Longer than anything here takes that is to succeed. */
const LIMIT = { timeout: 300_000, skip };

let server: PostgresServer;
let proxy: PostgresProxy;
before(async () => {
  if (skip !== false) return;
  server = await PostgresServer.start();
  proxy = await PostgresProxy.before(server.port);
  await server.sql('CREATE TABLE things (id int PRIMARY KEY)');
});
after(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

const connectionTo = (url = server.url()) =>
  new Connection(connectionSettings(url, { PGCONNECT_TIMEOUT: '60' }));

async function things(): Promise<number[]> {
  const rows = await server.sql<{ id: number }>('SELECT id FROM things ORDER BY id');
  return rows.map(({ id }) => id);
}

const add = (id: number) => async (transaction: Transaction) => {
  await transaction.query('INSERT INTO things VALUES ($1)', [id]);
};

const rowOf = async <R extends object>(text: string, url?: string): Promise<R> => {
  await using connection = connectionTo(url);
  const { rows } = await connection.transaction(({ query }) => query<R>(text));
  return rows[0]!;
};

const onCommit =
  (fate: Awaited<ReturnType<Judge>>): Judge =>
  ({ text }) =>
    text === 'COMMIT' ? fate : 'pass';

/** Gives it more time until the proxy has seen the statement in it. */
async function unanswered(
  statement: string,
  ask: (timeoutMs: number) => Promise<unknown>,
): Promise<VanityError> {
  for (let timeoutMs = 200; ; timeoutMs *= 2) {
    const from = proxy.seen.length;
    const error = await ask(timeoutMs).catch((one) => one);
    assert.ok(error instanceof VanityError, String(error));
    assert.equal(error.code, 'STORE_UNAVAILABLE');
    if (proxy.seen.slice(from).some(({ text }) => text === statement)) return error;
  }
}

test('what is committed is durable and waits for no lock for long', LIMIT, async () => {
  const text = `SELECT current_setting('transaction_isolation') AS isolation,
    current_setting('synchronous_commit') AS durable, current_setting('lock_timeout') AS lock,
    current_setting('idle_in_transaction_session_timeout') AS idle`;
  const wanted = { isolation: 'read committed', durable: 'on', lock: '2s', idle: '5s' };
  assert.deepEqual(await rowOf(text), wanted);
  const weak = `?options=${encodeURIComponent(
    '-c synchronous_commit=off -c default_transaction_isolation=serializable',
  )}`;
  assert.deepEqual(await rowOf(text, server.url() + weak), wanted);
  const strong = `?options=${encodeURIComponent('-c synchronous_commit=remote_apply')}`;
  const stronger = { ...wanted, durable: 'remote_apply' };
  assert.deepEqual(await rowOf(text, server.url() + strong), stronger);
});

test('whole numbers are numbers, as far as these go, and bytes are bytes', LIMIT, async () => {
  const bytes = Buffer.from([0, 255, 39, 92]);
  await using connection = connectionTo();
  const { rows } = await connection.transaction(({ query }) =>
    query('SELECT 9007199254740991 AS large, $1::bytea AS bytes, NULL::bigint AS none', [bytes]),
  );
  assert.deepEqual(rows, [{ large: 9007199254740991, bytes, none: null }]);
  const tooLarge = connection.transaction(({ query }) => query('SELECT 9007199254740992 AS large'));
  await assert.rejects(tooLarge, { code: 'STORE_CORRUPT', message: /9007199254740992: a number/ });
});

test('what work throws rolls back, as does a statement that nobody awaited', LIMIT, async () => {
  await using connection = connectionTo();
  const error = new Error('of work');
  const thrown = connection.transaction(async (transaction) => {
    await add(1)(transaction);
    throw error;
  });
  await assert.rejects(thrown, (one) => one === error);
  const lost = connection.transaction(async ({ query }) => {
    void query('INSERT INTO things VALUES (2)');
    void query('SELECT 1 / 0');
    void query('INSERT INTO things VALUES (3)');
  });
  await assert.rejects(lost, { code: 'STORE_CORRUPT', message: /: division by zero$/ });
  const later = connection.transaction(async ({ query }) => {
    void query('SELECT 1 / 0');
    await query('INSERT INTO things VALUES (3)');
  });
  await assert.rejects(later, { code: 'STORE_CORRUPT', message: /: division by zero$/ });
  assert.deepEqual(await things(), []);
});

test('what reads sees one moment, changes nothing, and is lost or whole', LIMIT, async () => {
  await using connection = connectionTo(proxy.through(server.url()));
  proxy.judge = () => 'pass';
  const count = 'SELECT count(*) AS count FROM things';
  const counts = await connection.read(async ({ query }) => {
    const first = (await query<{ count: number }>(count)).rows[0]!.count;
    await server.sql('INSERT INTO things VALUES (5)');
    return [first, (await query<{ count: number }>(count)).rows[0]!.count];
  });
  assert.equal(counts[0], counts[1]);
  await server.sql('DELETE FROM things WHERE id = 5');
  const change = connection.read((transaction) => add(6)(transaction));
  await assert.rejects(change, { message: /cannot execute INSERT in a read-only transaction$/ });
  // How it ends is nothing that anybody has to know.
  for (const [step, isWhole] of [
    ['ROLLBACK', true],
    ['SELECT 7', false],
    ['BEGIN', false],
  ] as const) {
    proxy.judge = ({ text }) => (text.startsWith(step) ? 'cut-answer' : 'pass');
    const read = connection.read(({ query }) => query('SELECT 7 AS seven'));
    if (isWhole) assert.deepEqual((await read).rows, [{ seven: 7 }]);
    else
      await assert.rejects(read, { code: 'STORE_UNAVAILABLE', message: /Connection terminated/ });
  }
  proxy.judge = () => 'pass';
  await connection.read(({ query }) => query('SELECT 7'));
});

test('a transaction that is over takes no statement', LIMIT, async () => {
  await using connection = connectionTo();
  const kept = await connection.transaction(async (transaction) => ({ transaction }));
  assert.throws(() => kept.transaction.query('SELECT 1'), /the transaction is over/);
});

test('two on one connection run one after the other', LIMIT, async () => {
  await using connection = connectionTo();
  await connection.transaction(async () => undefined);
  const steps: string[] = [];
  const run = (name: string) =>
    connection.transaction(async ({ query }) => {
      for (let step = 0; step < 3; step++) {
        await query('SELECT 1');
        steps.push(name);
      }
      if (name === 'a') throw new Error('a');
    });
  const [a, b] = await Promise.allSettled([run('a'), run('b')]);
  assert.deepEqual([a.status, b.status, steps.join('')], ['rejected', 'fulfilled', 'aaabbb']);
});

test('statements are sent together, and the commit with them', LIMIT, async () => {
  await using holder = connectionTo();
  await using connection = connectionTo(proxy.through(server.url()));
  await connection.transaction(async () => undefined);
  const from = proxy.seen.length;
  const commit = Promise.withResolvers<void>();
  proxy.judge = ({ text }) => {
    if (text === 'COMMIT') commit.resolve();
    return 'pass';
  };
  const sent = await holder.transaction(async ({ query }) => {
    await query('LOCK TABLE things');
    const work = connection.transaction(async (transaction) => {
      void transaction.query('TABLE things');
      void transaction.query('SELECT $1::int', [2]);
      void transaction.query('SELECT 3');
    });
    // The first of them is not answered before the lock is free.
    await Promise.race([commit.promise, work]);
    return { work };
  });
  await sent.work;
  const texts = proxy.seen.slice(from + 1).map(({ text }) => text);
  assert.deepEqual(texts, ['TABLE things', 'SELECT $1::int', 'SELECT 3', 'COMMIT']);
});

test('a warning that came before it is not of the commit', LIMIT, async () => {
  await using connection = connectionTo();
  await connection.transaction(({ query }) => query(`DO $$ BEGIN RAISE WARNING 'early'; END $$`));
});

test('a lost answer to COMMIT says neither yes nor no', LIMIT, async () => {
  await using connection = connectionTo(proxy.through(server.url()));
  proxy.judge = onCommit('cut-answer');
  await assert.rejects(connection.transaction(add(10)), CommitUnknown);
  proxy.judge = onCommit('lose');
  const lost = connection.transaction(add(11));
  await assert.rejects(lost, (error) => {
    assert.ok(error instanceof CommitUnknown);
    assert.match(error.message, /^nobody knows whether the transaction was committed: Connection/);
    return error.code === 'STORE_UNAVAILABLE';
  });
  proxy.judge = () => 'pass';
  await connection.transaction(add(12));
  assert.deepEqual(await things(), [10, 12]);
});

test('a connection that is lost before COMMIT leaves no doubt', LIMIT, async () => {
  await using connection = connectionTo(proxy.through(server.url()));
  for (const step of ['BEGIN', 'INSERT', 'ROLLBACK']) {
    proxy.judge = ({ text }) => (text.startsWith(step) ? 'cut-answer' : 'pass');
    const from = proxy.seen.length;
    const lost = connection.transaction(async (transaction) => {
      await add(20)(transaction);
      throw new Error('of work');
    });
    await assert.rejects(lost, (error: Error & { code?: string }) => {
      assert.ok(!(error instanceof CommitUnknown), step);
      if (step === 'ROLLBACK') return error.message === 'of work';
      return error.code === 'STORE_UNAVAILABLE' && /Connection terminated/.test(error.message);
    });
    const last = proxy.seen.slice(from).at(-1)!.text;
    assert.ok(last.startsWith(step), `${last} was sent before ${step} was answered`);
  }
  proxy.judge = () => 'pass';
  await connection.transaction(add(21));
  assert.deepEqual((await things()).slice(-1), [21]);
});

test(
  'a server that is silent is left after its time, and its late answer never read',
  LIMIT,
  async () => {
    await using connection = connectionTo(proxy.through(server.url()));
    const late = Promise.withResolvers<'pass'>();
    proxy.judge = ({ text }) => (text === 'SELECT 1 AS late' ? late.promise : 'pass');
    const silent = await unanswered('SELECT 1 AS late', (timeoutMs) =>
      connection.transaction(({ query }) => query('SELECT 1 AS late'), { timeoutMs }),
    );
    assert.match(silent.message, /: no answer within [\d.]+ s$/);
    late.resolve('pass');
    const { rows } = await connection.transaction(({ query }) => query('SELECT 2 AS next'));
    assert.deepEqual(rows, [{ next: 2 }]);
    const connections = proxy.seen.slice(-2).map(({ connection }) => connection);
    assert.equal(connections[0], connections[1]);
    assert.notEqual(connections[0], proxy.seen.find(({ text }) => /late/.test(text))!.connection);

    proxy.judge = onCommit('stall');
    const stalled = await unanswered('COMMIT', (timeoutMs) =>
      connection.transaction(add(30), { timeoutMs }),
    );
    assert.ok(stalled instanceof CommitUnknown, String(stalled));
    proxy.judge = () => 'pass';
    assert.ok(!(await things()).includes(30));
  },
);

test('a server that takes nothing is left after the time of a connection', LIMIT, async () => {
  const url = `${proxy.through(server.url())}?connect_timeout=1`;
  proxy.isSilent = true;
  await using connection = connectionTo(url);
  const asked = connection.transaction(add(31));
  await assert.rejects(asked, { code: 'STORE_UNAVAILABLE', message: /: no answer within 1 s$/ });
  proxy.isSilent = false;
});

test('a wait for a standby that somebody ended is no commit', LIMIT, async (t) => {
  await server.holdCommits();
  t.after(() => server.reset('synchronous_standby_names'));
  const waiting = `SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'`;
  const ended = async (by: string, id: number): Promise<unknown> => {
    await using connection = connectionTo();
    const asked = connection.transaction(add(id)).catch((error) => error);
    const next = connection.transaction(({ query }) => query('SELECT 1'));
    let found: { pid: number }[] = [];
    while (found.length === 0) found = await server.sql(waiting);
    await server.sql(`SET synchronous_commit = local; SELECT ${by}(${found[0]!.pid})`);
    await next;
    return asked;
  };
  const cancelled = await ended('pg_cancel_backend', 40);
  assert.ok(cancelled instanceof CommitUnknown, String(cancelled));
  assert.match(cancelled.message, /01000 canceling wait for synchronous replication/);
  const terminated = await ended('pg_terminate_backend', 41);
  assert.ok(terminated instanceof CommitUnknown, String(terminated));
  assert.deepEqual((await things()).slice(-2), [40, 41], 'they are in, on this machine');
  await using connection = connectionTo(proxy.through(server.url()));
  const silent = await unanswered('COMMIT', (timeoutMs) =>
    connection.transaction(add(42), { timeoutMs }),
  );
  assert.ok(silent instanceof CommitUnknown, String(silent));
  assert.ok(!(await things()).includes(42), 'still under way');
  await server.reset('synchronous_standby_names');
  // Waits until that one is decided.
  const again = connection.transaction(add(42), { lockMs: 60_000, timeoutMs: 60_000 });
  await assert.rejects(again, { code: 'STORE_CORRUPT', message: /things_pkey/ });
});

test('what may pass has another code than what will not', LIMIT, async () => {
  await using connection = connectionTo();
  const codeOf = async (state: string): Promise<string> => {
    const text = `DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '${state}'; END $$`;
    const error = await connection.transaction(({ query }) => query(text)).catch((one) => one);
    assert.ok(error instanceof VanityError);
    assert.match(error.message, /: on purpose/);
    assert.ok(error.cause instanceof ServerError);
    assert.equal(error.cause.code, state);
    return error.code;
  };
  const passing = ['40001', '40P01', '55P03', '57014', '57P03', '08006', '53100', '53300', 'XX000'];
  for (const state of passing) assert.equal(await codeOf(state), 'STORE_UNAVAILABLE', state);
  for (const state of ['23505', '23514', '42P01', '42703', '22012', 'XX001']) {
    assert.equal(await codeOf(state), 'STORE_CORRUPT', state);
  }
  for (const state of ['42501', '28000'])
    assert.equal(await codeOf(state), 'CONFIG_INVALID', state);
  connection.moment = 'running';
  for (const state of ['42501', '28000', '3D000']) {
    assert.equal(await codeOf(state), 'STORE_UNAVAILABLE', state);
  }
});

test('a lock is waited for as long as is said', LIMIT, async () => {
  await using holder = connectionTo();
  await using connection = connectionTo();
  await holder.transaction(async ({ query }) => {
    await query('LOCK TABLE things');
    const asked = connection.transaction(add(50), { lockMs: 50 });
    await assert.rejects(asked, { code: 'STORE_UNAVAILABLE', message: /lock timeout/ });
  });
});

test('an error does not quote rows', LIMIT, async () => {
  await using connection = connectionTo();
  await connection.transaction(add(60_606));
  const twice = connection.transaction(add(60_606));
  await assert.rejects(twice, (error: Error) => {
    const { cause } = error;
    assert.ok(cause instanceof ServerError && cause.constraint === 'things_pkey');
    return !JSON.stringify([error, cause, error.message, cause.message]).includes('60606');
  });
});

test('after a crash of the server the next transaction finds it again', LIMIT, async () => {
  await using connection = connectionTo();
  await connection.transaction(add(70_000));
  await server.stop('SIGQUIT');
  const away = connection.transaction(add(70_001));
  await assert.rejects(away, { code: 'STORE_UNAVAILABLE' });
  assert.ok(await server.start());
  await connection.transaction(add(70_002));
  assert.deepEqual((await things()).slice(-2), [70_000, 70_002]);
});
