/** A standby is promoted: with all that the primary had, or without the last of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreRewound } from '../../src/store/store.ts';
import { PostgresServer } from '../support/postgres.ts';
import { inserted, untilDone } from '../support/postgres-nodes.ts';
import { VERSIONS, withoutPostgres } from '../support/postgres-program.ts';
import { PostgresStores } from '../support/postgres-stores.ts';
import { awake, left, pool, RewoundScene, rewound } from '../support/rewound-scene.ts';

/** A primary that two nodes work on, and its standby. */
class Pair implements AsyncDisposable {
  readonly scene: RewoundScene;
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
  /** What the tests of the stores ask. */
  static current: PostgresServer;

  static async start(version: (typeof VERSIONS)[number]): Promise<Pair> {
    await using parts = new AsyncDisposableStack();
    const primary = parts.use(await PostgresServer.start({ version }));
    Pair.current = primary;
    const stores = new PostgresStores(() => Pair.current);
    const scene = parts.use(await RewoundScene.open(stores, primary, 2));
    const standby = parts.use(await primary.standby());
    for (const { store } of scene.nodes.nodes) await awake(store);
    parts.move();
    return new Pair(scene, primary, standby);
  }

  private constructor(scene: RewoundScene, primary: PostgresServer, standby: PostgresServer) {
    this.scene = scene;
    this.primary = primary;
    this.standby = standby;
  }

  /** The standby has all that the primary has by now, and hears of nothing that comes after it. */
  async cutOff(): Promise<void> {
    const at = 'SELECT pg_current_wal_flush_lsn() AS lsn';
    const [{ lsn } = {}] = await this.primary.sql<{ lsn: string }>(at);
    const replayed = 'SELECT pg_last_wal_replay_lsn() >= $1 AS "isThere"';
    while (!(await this.standby.sql<{ isThere: boolean }>(replayed, [lsn]))[0]!.isThere) {
      await sleep(20);
    }
    await this.standby.set('primary_conninfo', '');
    const receivers = 'SELECT pid FROM pg_stat_wal_receiver';
    while ((await this.standby.sql(receivers)).length > 0) await sleep(20);
  }

  /** It takes over from the primary, which ends. */
  async promote(): Promise<void> {
    await this.primary.stop('SIGQUIT');
    await this.standby.sql('SELECT pg_promote()');
    Pair.current = this.standby;
    for (const { proxy } of this.scene.nodes.nodes) {
      proxy.target = this.standby.port;
      proxy.cut();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scene[Symbol.asyncDispose]();
    await this.standby[Symbol.asyncDispose]();
    await this.primary[Symbol.asyncDispose]();
  }
}

for (const version of VERSIONS) {
  const limit = { timeout: 300_000, skip: await withoutPostgres(version) };

  test(`PostgreSQL ${version}: a failover that lost nothing burns nothing`, limit, async () => {
    await using pair = await Pair.start(version);
    const { scene } = pair;
    const { first, second } = scene;
    await scene.lease(second, 0, 10);
    await pair.cutOff();
    await pair.promote();
    await rewound(() => first.store.turn({ pool, head: 12, wanted: 1 }));
    await rewound(() => second.store.turn({ pool, head: 0, wanted: 1 }));
    await assert.rejects(first.store.rejoin(left(10, 2)), StoreRewound);
    assert.deepEqual(await second.store.rejoin(left(0, 3)), {
      pet: { dispensed: 3, returned: 7, burned: 0 },
    });
    assert.deepEqual(await first.store.rejoin(left(10, 2)), {
      pet: { dispensed: 2, returned: 8, burned: 0 },
    });
    assert.equal(await scene.figures(), '85 0 0 15 0');
    await inserted(first.store, pool, 1);
    assert.equal((await second.store.turn({ pool, head: 0, wanted: 9 })).leased.length, 9);
  });

  test(`PostgreSQL ${version}: of a lost tail what may have left is burned`, limit, async () => {
    await using pair = await Pair.start(version);
    const { scene } = pair;
    const { first, second } = scene;
    await scene.lease(second, 0, 10);
    await pair.cutOff();
    await scene.lease(first, 20, 15);
    await scene.lease(second, 10, 5);
    await inserted(first.store, pool, 50);
    await pair.promote();
    await rewound(() => first.store.turn({ pool, head: 21, wanted: 1 }));
    await rewound(() => second.store.turn({ pool, head: 10, wanted: 1 }));
    await assert.rejects(first.store.rejoin(left(10, 15)), StoreRewound);
    assert.deepEqual(await second.store.rejoin(left(0, 12)), {
      pet: { dispensed: 10, returned: 0, burned: 0 },
    });
    assert.deepEqual(await first.store.rejoin(left(10, 15)), {
      pet: { dispensed: 10, returned: 0, burned: 0 },
    });
    assert.equal(await scene.figures(), '50 0 0 30 20');
    assert.equal((await scene.lease(first, 0, 30)) + (await scene.lease(second, 0, 30)), 50);
    await inserted(first.store, pool, 1);
  });
}

const skip = await withoutPostgres(18);

test('who says that no failover loses a commit waits for nobody', {
  skip,
  timeout: 300_000,
}, async () => {
  await using pair = await Pair.start(18);
  const { scene } = pair;
  const { first, second } = scene;
  await scene.lease(second, 0, 10);
  await pair.cutOff();
  await scene.lease(second, 0, 5);
  await pair.promote();
  await untilDone(() =>
    first.open({ standby: 'synchronous', bootId: 'another', recover: left(10, 2) }),
  );
  assert.equal(await scene.figures(), '78 10 0 12 0');
  // Who knows better contradicts.
  await rewound(() => second.store.turn({ pool, head: 0, wanted: 1 }));
  await rewound(() => first.store.turn({ pool, head: 0, wanted: 1 }));
  await assert.rejects(
    first.store.rejoin(() => []),
    StoreRewound,
  );
  await second.store.rejoin(left(0, 15));
  await first.store.rejoin(() => []);
  assert.equal(await scene.figures(), '65 0 0 22 13');
});
