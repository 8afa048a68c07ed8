/** What a node remembers of what it did, in its directory; and what becomes of a node that does not. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs, { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Marks } from '../../src/store/postgres/marks.ts';
import { retireNode } from '../../src/store/postgres/nodes.ts';
import { type Store, StoreRewound } from '../../src/store/store.ts';
import { PostgresServer } from '../support/postgres.ts';
import { inserted, type PostgresNode, UNHEARD } from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { PostgresStores, someNode } from '../support/postgres-stores.ts';
import { awake, connectionTo, left, pool, RewoundScene } from '../support/rewound-scene.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 300_000, skip };
const open = (count?: number) => RewoundScene.open(stores, server, count);
const LANE = 2 ** 20;

let server: PostgresServer;
const stores = new PostgresStores(() => server);
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});

class Kept implements Disposable {
  readonly directory = temporaryDirectory();
  readonly #node = { id: 'a'.repeat(32), place: 'a'.repeat(16) };

  read(bootId = 'boot', node = this.#node): Marks {
    return new Marks(this.directory, { storeId: 'b'.repeat(32), node, bootId });
  }

  get path(): string {
    return join(this.directory, readdirSync(this.directory)[0]!);
  }

  [Symbol.dispose](): void {
    removeDirectory(this.directory);
  }
}

const run = (epoch: number) => ({ epoch, id: randomBytes(16) });
const SIGHT = { timeline: '00000001', wal: 77 };
const idsOf = (lane: number, first: number, last: number) => [
  { first: lane * LANE + first, last: lane * LANE + last },
];

function leased(marks: Marks, turn: number, lane: number, first: number, last: number): void {
  marks.allow(idsOf(lane, first, last));
  marks.note(new Map([[1, turn]]), idsOf(lane, first, last), SIGHT);
}

test('what was written is read again: exact on the same start of the machine', () => {
  using kept = new Kept();
  const marks = kept.read();
  assert.equal(marks.areKept, false);
  const begun = run(5);
  marks.begin(begun, undefined);
  leased(marks, 1, 3, 1, 10);
  leased(marks, 2, 3, 11, 12);
  leased(marks, 3, 4, 1, 1);
  marks.noteTokens({ last: 9, ids: [1, 3] });
  const again = kept.read();
  assert.deepEqual(
    [again.areKept, again.isExact, again.run, again.sight, again.tokens],
    [true, true, { epoch: 5, id: begun.id.toString('hex') }, SIGHT, { last: 9, ids: [1, 3] }],
  );
  assert.deepEqual([...again.turns], [[1, 3]]);
  assert.deepEqual(
    [...again.lanes],
    [
      [3, 3 * LANE + 12],
      [4, 4 * LANE + 1],
    ],
  );
});

test('after another start of the machine it is as far as was written ahead', () => {
  using kept = new Kept();
  const marks = kept.read();
  marks.begin(run(5), undefined);
  leased(marks, 1, 3, 1, 10);
  const again = kept.read('another');
  assert.equal(again.isExact, false);
  assert.deepEqual([...again.lanes], [[3, 3 * LANE + 10 + 4096]]);
  const next = kept.read('another');
  next.begin(run(6), undefined);
  assert.deepEqual([next.isExact, [...next.lanes]], [true, [[3, 3 * LANE + 10 + 4096]]]);
  assert.deepEqual([...next.turns], []);
  next.stop();
  assert.equal(kept.read('a third').isExact, true);
});

test('not each turn is written ahead', () => {
  using kept = new Kept();
  const marks = kept.read();
  marks.begin(run(5), undefined);
  const lines = () => readFileSync(kept.path, 'utf8').split('\n').length;
  marks.allow(idsOf(3, 1, 10));
  const before = lines();
  marks.allow(idsOf(3, 11, 4106));
  assert.equal(lines(), before);
  marks.allow(idsOf(3, 11, 4107));
  assert.equal(lines(), before + 1);
});

test('what is written ahead is on the disk before anything leaves', (t) => {
  using kept = new Kept();
  const marks = kept.read();
  marks.begin(run(5), undefined);
  const { mock } = t.mock.method(fs, 'fsyncSync');
  syncBuiltinESMExports();
  t.after(() => {
    mock.restore();
    syncBuiltinESMExports();
  });
  marks.allow(idsOf(3, 1, 10));
  assert.equal(mock.callCount(), 1);
  marks.note(new Map([[1, 1]]), idsOf(3, 1, 10), SIGHT);
  marks.allow(idsOf(3, 11, 20));
  assert.equal(mock.callCount(), 1, 'not each turn');
});

test('the file is written anew when it has grown, and says the same', () => {
  using kept = new Kept();
  const marks = kept.read();
  marks.begin(run(5), undefined);
  for (let turn = 1; turn < 14_000; turn++) leased(marks, turn, 3, turn, turn);
  assert.ok(readFileSync(kept.path).length < 2 ** 20);
  const again = kept.read();
  assert.deepEqual(
    [...again.turns, ...again.lanes],
    [
      [1, 13_999],
      [3, 3 * LANE + 13_999],
    ],
  );
});

test('a line that was cut off is none; one that is damaged is believed by nobody', () => {
  using kept = new Kept();
  const marks = kept.read();
  marks.begin(run(5), undefined);
  leased(marks, 1, 3, 1, 10);
  appendFileSync(kept.path, '{"turns":{"1":');
  assert.deepEqual([...kept.read().turns], [[1, 1]]);
  const node = { id: 'c'.repeat(32), place: 'a'.repeat(16) };
  assert.throws(() => kept.read('boot', node), { code: 'STORE_REWOUND' });
  appendFileSync(kept.path, '\n');
  assert.throws(() => kept.read(), { code: 'STORE_REWOUND', message: /damaged/ });
  // What was not synced may be anything after a loss of power.
  assert.deepEqual([...kept.read('another').turns], [[1, 1]]);
  writeFileSync(kept.path, '');
  assert.throws(() => kept.read(), { code: 'STORE_REWOUND' });
});

test('nothing is leased for what cannot be remembered', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  const { store } = first;
  const write = Marks.prototype.note;
  try {
    Marks.prototype.note = () => {
      throw new Error('no room');
    };
    await assert.rejects(store.turn({ pool, head: 12, wanted: 5 }), /no room/);
  } finally {
    Marks.prototype.note = write;
  }
  const { leased, position } = await store.turn({ pool, head: 12, wanted: 5 });
  assert.deepEqual([leased.length, position], [5, 20], 'what the turn leased comes with the next');
  assert.equal(await scene.figures(), '75 13 0 12 0');
});

function marksOf({ place: { directory, node } }: PostgresNode): string {
  const name = readdirSync(directory).find((file) => file.endsWith(`${node.place}.marks`));
  return join(directory, name!);
}

test(
  'a known node without its marks does not start before somebody retires it',
  LIMIT,
  async () => {
    await using scene = await open();
    const { first } = scene;
    await first.store.close();
    rmSync(marksOf(first));
    await assert.rejects(first.open({ recover: left(10, 2) }), {
      code: 'STORE_REWOUND',
      message: /\.marks of this node is missing.*nodes retire ID/s,
    });
    await using connection = connectionTo(first);
    await retireNode(connection, first.place.node.id, 'lost-nothing');
    await first.open({ recover: left(10, 2) });
    assert.equal(await scene.figures(), '80 0 0 12 8', 'it was given up');
  },
);

test(
  'marks that claim more than was done burn that, and damaged ones stop the start',
  LIMIT,
  async () => {
    await using scene = await open();
    const { first } = scene;
    await first.store.close();
    const path = marksOf(first);
    const whole = readFileSync(path, 'utf8');
    const [lane] = new Map(
      new Marks(first.place.directory, {
        ...{ storeId: first.store.id, node: first.place.node, bootId: undefined },
      }).lanes,
    ).keys();
    appendFileSync(path, 'damaged\n{}\n');
    await assert.rejects(first.open(), { code: 'STORE_REWOUND', message: /damaged/ });
    const far = 3_000_000_000;
    const claimed = {
      turns: { 1: 99 },
      lanes: {
        [lane!]: [lane! * LANE + 30, lane! * LANE + 30],
        // One that the database has not.
        [far]: [far * LANE + 1, far * LANE + 1],
      },
    };
    writeFileSync(path, `${whole}${JSON.stringify(claimed)}\n`);
    const store = await first.open({ recover: left(10, 2) });
    assert.equal(await scene.figures(), '70 0 0 12 18');
    await inserted(store, pool, 1);
    const { leased } = await store.turn({ pool, head: 0, wanted: 71 });
    assert.ok(leased.at(-1)!.id > (far + 1) * LANE, 'and it gets no id that was given');
  },
);

test('a new node waits until the others have compared what they remember', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  const { url, directory } = first.place;
  const place = { url, directory, node: someNode() };
  // Nobody looked since.
  await server.stop();
  await server.start();
  const refused = { code: 'STORE_REWOUND', message: new RegExp(first.place.node.id) };
  await assert.rejects(stores.openAt(place), refused);
  using _ = first.store.watch(UNHEARD);
  for (let store: Store | undefined; store === undefined; ) {
    store = await stores.openAt(place).catch(() => undefined);
    await store?.close();
  }
});

test(
  'a look at a server that was started anew finds what is missing, however far it is',
  LIMIT,
  async () => {
    await using scene = await open();
    const { first } = scene;
    await scene.goesBack(async () => {
      await awake(first.store);
      await scene.lease(first, 20, 15);
    });
    // More than was lost.
    await server.sql('SELECT pg_switch_wal()');
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    let looks = 0;
    // More looks than it needs.
    const nodes = () => void (++looks > 5 && resolve(undefined));
    using _ = first.store.watch({ ...UNHEARD, over: resolve, nodes });
    assert.ok((await promise) instanceof StoreRewound);
  },
);
