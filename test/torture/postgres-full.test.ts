/**
 * A PostgreSQL server whose disks are full, first that of its data, then that of its log of writes, where it ends
 * and cannot start: while clients ask two nodes. These go on with what is ready, refuse what they cannot do, and
 * recover by themselves when there is room. Nobody is given up, nothing comes twice, and nothing is lost.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, type ClusterNode } from '../support/cluster.ts';
import { ClusterClients, POOLS } from '../support/cluster-clients.ts';
import { judged } from '../support/cluster-judge.ts';
import { FileSystem } from '../support/file-systems.ts';
import { withoutNamespaces } from '../support/namespaces.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { randomOf } from '../support/sequence.ts';
import { DILIGENTLY } from '../support/server.ts';

const LIMIT = { timeout: 580_000, skip: (await withoutPostgres(18)) || withoutNamespaces() };
const SEED = Number(process.env.CLUSTER_SEED ?? Date.now() % 2 ** 31);
const QUOTA = 20;
const LOOK_MS = 50;
/** Nobody takes of it but the test: each node has some ready when it matters. */
const KEPT = 'kept';
const QUEUE = { target: 200, ready: 24, ready_max: 96 };
const TAKEN = 4;
/** While a disk is full; others are answered meanwhile. */
const REFUSED = 40;
/** The disk is full for less, however slow the machine is. */
const TTL_SECONDS = 600;
/** What there is, and room for what comes. */
const DATA_MIB = 64;
const LOG_MIB = 128;
const SHOWN = 20;

const FAILS = 'the store fails';
const WORKS = 'the store works again';

/** How often it said so. */
const times = (node: ClusterNode, message: string) => node.said(message).length;

class Scene {
  readonly cluster: Cluster;
  readonly clients: ClusterClients;
  readonly leased: ClusterNode;
  readonly committed: ClusterNode;

  constructor(cluster: Cluster, clients: ClusterClients) {
    this.cluster = cluster;
    this.clients = clients;
    [this.leased, this.committed] = cluster.nodes as [ClusterNode, ClusterNode];
  }

  /** Statements fail that need room, and others do not. */
  async dataIsFull(disk: FileSystem): Promise<void> {
    const { server, nodes } = this.cluster;
    const isSaid = (node: ClusterNode) =>
      node.said(FAILS).some(({ reason }) => /The disk of the server is full/.test(String(reason)));
    await this.leased.untilReady(KEPT);
    disk.fill();
    while (!nodes.every(isSaid)) await sleep(LOOK_MS);
    assert.match(server.log, /ERROR: .*No space left on device/);
    await this.takeWhatIsReady();
    await this.untilRefused();
    disk.makeRoom();
    await this.allWork();
  }

  /** The server ends in the middle of what it does, and so does each start of it. */
  async logIsFull(disk: FileSystem): Promise<void> {
    const { server } = this.cluster;
    await this.leased.untilReady(KEPT);
    disk.fill();
    let isDown = false;
    const down = server.logged(/database system is shut down/).then(() => {
      isDown = true;
    });
    while (!isDown) {
      await this.cluster.sql('SELECT pg_switch_wal()').catch(() => undefined);
      await Promise.race([down, sleep(LOOK_MS)]);
    }
    assert.match(server.log, /PANIC: .*No space left on device/);
    await this.takeWhatIsReady();
    const { clients, leased, committed } = this;
    assert.equal(await clients.take(committed, KEPT), 'STORE_UNAVAILABLE');
    for (const node of [leased, committed]) {
      assert.equal(await clients.takeForKey(node), 'STORE_UNAVAILABLE');
    }
    await this.untilRefused();
    disk.makeRoom();
    assert.ok(await server.start());
    await this.allWork();
  }

  async takeWhatIsReady(): Promise<void> {
    for (let taken = 0; taken < TAKEN; taken++) {
      assert.equal(await this.clients.take(this.leased, KEPT), undefined, 'none was ready');
    }
  }

  async untilRefused(): Promise<void> {
    const { seen } = this.clients;
    const until = seen.refused + REFUSED;
    while (seen.refused < until) await sleep(LOOK_MS);
  }

  async allWork(): Promise<void> {
    const { nodes } = this.cluster;
    await Promise.all(nodes.map((node) => this.clients.untilServes(node)));
    const isWell = () => nodes.every((node) => times(node, FAILS) === times(node, WORKS));
    while (!isWell()) await sleep(LOOK_MS);
  }
}

async function full(t: TestContext): Promise<void> {
  const [data, log] = [DATA_MIB, LOG_MIB].map((mib) => FileSystem.inMemory(t, mib));
  const places = { data: data!.path, log: log!.path };
  const pools = [...POOLS, KEPT].map((name) => ({ name, suffix: 't', ...QUEUE }));
  const nodes = (['leased', 'committed'] as const).map((durability) => ({
    durability,
    ttlSeconds: TTL_SECONDS,
    environment: DILIGENTLY,
  }));
  await using cluster = await Cluster.start({ pools, nodes, places });
  const random = randomOf(SEED);
  using clients = new ClusterClients(cluster.nodes, random, await cluster.token(QUOTA));
  const scene = new Scene(cluster, clients);
  clients.start();
  await scene.allWork();
  await scene.dataIsFull(data!);
  await scene.logIsFull(log!);
  await clients.stop();
  await clients.askAgain();
  await Promise.all(cluster.nodes.map((node) => node.stop()));

  const { wrong, counts, expiries } = await judged(cluster, clients, QUOTA);
  t.diagnostic(`CLUSTER_SEED=${SEED} ${JSON.stringify({ ...counts, ...clients.seen })}`);
  assert.deepEqual(wrong.slice(0, SHOWN), [], `${wrong.length} faults, CLUSTER_SEED=${SEED}`);
  assert.equal(expiries, 0);
}

test('a server whose disks are full', LIMIT, full);
