/**
 * Nodes of one database, of which one is killed while one of them rotates the sealing key: the one that rotates
 * after each of its steps, and the one that is given the new key in each of its own. The other goes on. Both start
 * again with the key that the database goes by, nothing is lost, and the key can be rotated again.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadSealingKey, sealingKeyId } from '../../src/keypair/sealing-key.ts';
import { nodeIn } from '../../src/store/postgres/node-file.ts';
import type { PostgresStoreOptions } from '../../src/store/postgres/open.ts';
import { PostgresServer } from '../support/postgres.ts';
import { figuresOf, inserted, PostgresNode, UNHEARD } from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { type Fate, PostgresProxy } from '../support/postgres-proxy.ts';
import { PostgresStores } from '../support/postgres-stores.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';
import { hexOf, poolNamed } from '../support/store-subject.ts';
import { returnLease, turn } from '../support/turns.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 300_000, skip };
const PROCESS = fileURLToPath(new URL('../support/rotating-process.ts', import.meta.url));
const POOL = 'pet';

/** What statements begin with. */
const LOOK = 'SELECT version';
const TAKING = 'SELECT FROM vanitypool.cluster FOR UPDATE';
const KEPT = 'UPDATE vanitypool.handed_keys SET is_kept';

let server: PostgresServer;
const stores = new PostgresStores(() => server);
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});

/** As the file of a node has it. */
interface Key {
  readonly id: string;
  readonly digits: string;
}

const pathIn = ({ place }: PostgresNode) => join(place.directory, 'sealing.key');

async function keyIn(node: PostgresNode): Promise<Key> {
  const path = pathIn(node);
  const { publicKey } = (await loadSealingKey(`file:${path}`))!;
  return { id: sealingKeyId(publicKey), digits: readFileSync(path, 'latin1') };
}

/** The one that was replaced is beside the key by its id, and no next one is. */
function assertKept(node: PostgresNode, { id, digits }: Key): void {
  assert.equal(readFileSync(`${pathIn(node)}.${id}`, 'latin1'), digits);
  assert.ok(!existsSync(`${pathIn(node)}.new`));
}

/** A node in a process of its own, which is killed: by itself at its step, or at what its proxy sees. */
class Doomed implements Disposable {
  readonly ended: Promise<void>;
  readonly #begun = Promise.withResolvers<void>();
  readonly #node: PostgresNode;
  readonly #process: ChildProcess;

  static async start(node: PostgresNode, step: string, ...role: string[]): Promise<Doomed> {
    await node.store.close();
    const { url, directory } = node.place;
    const args = [PROCESS, directory, step, url, ...role];
    return new Doomed(node, spawn(process.execPath, args, { stdio: 'inherit' }));
  }

  private constructor(node: PostgresNode, child: ChildProcess) {
    this.#node = node;
    this.#process = child;
    this.#fate(() => 'pass');
    this.ended = once(child, 'exit').then(([, signal]) => assert.equal(signal, 'SIGKILL'));
  }

  /** When it has begun to look what others do. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  /** Instead of this statement. */
  at(statement: string): void {
    this.#fate((text) => (text === statement ? this.#kill() : 'pass'));
  }

  /** With the transaction of such a statement: what it did is in, or not. */
  inCommit(statement: string, isIn: boolean): void {
    let [isMeant, isOver] = [false, false];
    this.#fate((text) => {
      if (isOver) return this.#kill();
      isMeant ||= text.startsWith(statement);
      if (!isMeant || text !== 'COMMIT') return 'pass';
      isOver = true;
      return isIn ? 'cut-answer' : this.#kill();
    });
  }

  [Symbol.dispose](): void {
    this.#process.kill('SIGKILL');
  }

  #fate(judge: (text: string) => Fate): void {
    this.#node.fate((_number, text) => {
      if (text.startsWith(LOOK)) this.#begun.resolve();
      return judge(text);
    });
  }

  #kill(): Fate {
    this.#process.kill('SIGKILL');
    return 'lose';
  }
}

class Nodes implements AsyncDisposable {
  readonly first: PostgresNode;
  readonly second: PostgresNode;
  readonly forged: string[] = [];
  readonly #url: string;
  /** Of all that is available. */
  readonly #hexes: string[] = [];
  #isOdd = false;

  static async open(): Promise<Nodes> {
    const { url, directory } = await stores.newPlace();
    removeDirectory(directory);
    const some = async () => {
      const proxy = await PostgresProxy.before(server.port);
      const own = temporaryDirectory();
      const place = { url: proxy.through(url), node: nodeIn(own), directory: own };
      return new PostgresNode(stores, place, proxy);
    };
    const nodes = new Nodes(url, await some(), await some());
    const { first, second } = nodes;
    await nodes.start(first);
    copyFileSync(pathIn(first), pathIn(second));
    await nodes.start(second);
    await first.store.definePool(poolNamed(POOL));
    await first.store.tokens.create({
      ...{ name: 'shop', hash: randomBytes(32), scopes: ['dispense'] },
      ...{ pools: undefined, quota: undefined, expiresAt: undefined },
    });
    for (const node of nodes.all) await nodes.insert(node);
    return nodes;
  }

  private constructor(url: string, first: PostgresNode, second: PostgresNode) {
    this.#url = url;
    this.first = first;
    this.second = second;
  }

  get all(): readonly PostgresNode[] {
    return [this.first, this.second];
  }

  /** Each of both in turn, and the other. */
  alternate(): readonly [PostgresNode, PostgresNode] {
    this.#isOdd = !this.#isOdd;
    const { first, second } = this;
    return this.#isOdd ? [first, second] : [second, first];
  }

  /** In this process. */
  async start(node: PostgresNode, more: Partial<PostgresStoreOptions> = {}): Promise<void> {
    node.pass();
    const onForged = (row: string) => void this.forged.push(row);
    const store = await node.open({ onForged, ...more });
    store.watch(UNHEARD);
  }

  async sql<R extends Record<string, unknown>>(text: string): Promise<R[]> {
    return server.sql<R>(text, [], new URL(this.#url).pathname.slice(1));
  }

  async insert({ store }: PostgresNode): Promise<void> {
    this.#hexes.push(...(await inserted(store, POOL, 1)).map(hexOf));
  }

  /** Each leases all that there is, with the key that the database goes by. */
  async assertWhole(): Promise<void> {
    const [cluster] = await this.sql<{ key: Uint8Array }>(
      'SELECT sealing_key AS key FROM vanitypool.cluster',
    );
    for (const node of this.all) {
      const { store } = node;
      assert.equal((await keyIn(node)).id, sealingKeyId(cluster!.key));
      const { leased } = await turn(store, POOL, 0, this.#hexes.length + 1);
      assert.equal(await figuresOf(store, POOL), `0 ${this.#hexes.length} 0 0 0`);
      const hexes = new Set(leased.map(hexOf));
      assert.ok(this.#hexes.every((hex) => hexes.has(hex)));
      await returnLease(store, POOL);
      assert.deepEqual(
        (await store.tokens.all()).map(({ name, isForged }) => [name, isForged]),
        [['shop', false]],
      );
    }
    assert.deepEqual(this.forged, []);
  }

  /** Both start, add, and have all that there is. */
  async restart(): Promise<void> {
    for (const node of this.all) {
      await node.store.close();
      await this.start(node);
      await this.insert(node);
    }
    await this.assertWhole();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { proxy, store, place } of this.all) {
      proxy.judge = () => 'pass';
      await store.close();
      await proxy[Symbol.asyncDispose]();
      removeDirectory(place.directory);
    }
    await stores.check(this.#url);
  }
}

/** Of the node that rotates: whether the database goes by the new key then. */
const STEPS: Readonly<Record<string, boolean>> = {
  'old key kept': false,
  'new key': false,
  'handing over, which is in': false,
  'handed over': false,
  'the commit, which is not in': false,
  'the commit, which is in': true,
  'store sealed': true,
  'rename sealing.key.new': true,
  named: true,
};
const COMMITS: Readonly<Record<string, string>> = {
  'handing over': 'INSERT INTO vanitypool.handed_keys',
  'the commit': 'DELETE FROM vanitypool.handed_keys',
};

test('who rotates is killed', LIMIT, async (t) => {
  await using nodes = await Nodes.open();
  for (const [step, isRotated] of Object.entries(STEPS)) {
    const [rotating, other] = nodes.alternate();
    await t.test(`at: ${step}`, async () => {
      const before = await keyIn(rotating);
      using doomed = await Doomed.start(rotating, step);
      const [which = '', how] = step.split(', which is ');
      if (how !== undefined) doomed.inCommit(COMMITS[which]!, how === 'in');
      await doomed.ended;
      // The other goes on, but for a rotation of its own.
      await nodes.insert(other);
      assert.equal((await turn(other.store, POOL, 0, 2)).leased.length, 2);
      await returnLease(other.store, POOL);
      if (step === 'handed over') {
        const refused = { code: 'KEY_ROTATION_REFUSED', message: /was killed, start it again/ };
        await assert.rejects(other.store.beginRotation(), refused);
      }
      await nodes.restart();
      for (const node of nodes.all) {
        assert.equal((await keyIn(node)).id !== before.id, isRotated);
        if (isRotated) assertKept(node, before);
      }
    });
  }
  await (await nodes.first.store.beginRotation()).finish();
  await nodes.restart();
});

/** Of the node that is given the key: whether the store goes by that then. The last ones are on its own disk. */
const GIVEN = {
  'is to take it': false,
  'made sealing.key.new': false,
  'says that it has it, which is not in': false,
  'says that it has it, which is in': false,
  'has said that it has it': true,
  'made sealing.key.OLD': true,
  'rename sealing.key.new': true,
};

test('who is given the key is killed', LIMIT, async (t) => {
  await using nodes = await Nodes.open();
  for (const [step, isRotated] of Object.entries(GIVEN)) {
    const [given, rotating] = nodes.alternate();
    await t.test(`at: ${step}`, async () => {
      const before = await keyIn(given);
      using doomed = await Doomed.start(given, step.replace('OLD', before.id), 'follow');
      if (step === 'is to take it') doomed.at(TAKING);
      if (/says|said/.test(step)) doomed.inCommit(KEPT, !step.endsWith('not in'));
      await doomed.begun;
      const rotation = await rotating.store.beginRotation();
      const handed = rotation.handOver();
      if (!isRotated) {
        await doomed.ended;
        await nodes.start(given);
      }
      await handed;
      if (step === 'has said that it has it') await doomed.ended;
      const { handedTo } = await rotation.finish();
      assert.equal(handedTo, 1);
      await doomed.ended;
      await nodes.insert(rotating);
      await nodes.restart();
      for (const node of nodes.all) assertKept(node, before);
    });
  }
  await t.test('before it is given, and comes back after its lease', async () => {
    const { first, second } = nodes;
    // A minute and a half with each look, which reads it twice.
    let now = 0;
    await first.store.close();
    await nodes.start(first, { ttlMs: 600, monotonic: () => (now += 45_000) });
    using doomed = await Doomed.start(second, '', 'follow');
    doomed.at(TAKING);
    await doomed.begun;
    const rotation = await first.store.beginRotation();
    await rotation.handOver();
    await doomed.ended;
    const { to, handedTo } = await rotation.finish();
    assert.equal(handedTo, 0);
    const remedy = `${to} is needed\\); if it was rotated, copy the new one from another node`;
    await assert.rejects(nodes.start(second), {
      code: 'SEALING_KEY_INVALID',
      message: new RegExp(remedy),
    });
    copyFileSync(pathIn(first), pathIn(second));
    await nodes.restart();
  });
  await (await nodes.second.store.beginRotation()).finish();
  await nodes.restart();
});
