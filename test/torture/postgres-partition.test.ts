/**
 * Nodes at the end of a cable that is cut, where what they send vanishes, while clients ask them: for less than
 * their lease they go on with what is ready, and then with the database, as if nothing had been. Beyond it they
 * hand out nothing, another node ends their run once, and they rejoin without a restart. Those that were cut off
 * give up nobody for what they did not see. Nothing comes twice, whatever came is recorded, nothing is missing.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cable, withoutCable } from '../support/cable.ts';
import { Cluster, type ClusterNode, TTL_SECONDS } from '../support/cluster.ts';
import { ClusterClients, POOLS } from '../support/cluster-clients.ts';
import { judged } from '../support/cluster-judge.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { randomOf } from '../support/sequence.ts';
import { DILIGENTLY } from '../support/server.ts';

const LIMIT = { timeout: 580_000, skip: (await withoutPostgres(18)) || withoutCable() };
const SEED = Number(process.env.CLUSTER_SEED ?? Date.now() % 2 ** 31);
const QUOTA = 20;
/** The cable is cut for most of the time. */
const REST_MS = 1000;
const LOOK_MS = 50;
/** Nobody takes of it but the test: each node has some ready when it matters. */
const KEPT = 'kept';
const QUEUE = { target: 200, ready: 24, ready_max: 96 };
const TAKEN = 2;
const TTL_MS = TTL_SECONDS * 1000;
/** Longer than the cable is ever cut, however slow the machine is. */
const LONG_TTL_SECONDS = 300;
/** Less than a client waits for an answer: a connection outlives it. */
const SHORT_MS = 3000;
const SHOWN = 20;

const REJOINED = 'a new run has begun';
const CORRECTED = 'what this run had leased when it was ended';

/** A node at this end, and two at the other, of which one has a lease that outlasts all. */
class Scene {
  readonly cluster: Cluster;
  readonly clients: ClusterClients;
  readonly cable: Cable;
  readonly near: ClusterNode;
  readonly patient: ClusterNode;
  readonly brief: ClusterNode;

  constructor(cluster: Cluster, clients: ClusterClients, cable: Cable) {
    this.cluster = cluster;
    this.clients = clients;
    this.cable = cable;
    [this.near, this.patient, this.brief] = cluster.nodes as [
      ClusterNode,
      ClusterNode,
      ClusterNode,
    ];
  }

  async lessThanTheLease(): Promise<void> {
    const { cluster, cable, near, patient, brief } = this;
    const since = await this.cut();
    for (const node of [patient, brief, near]) await this.take(node);
    await sleep(SHORT_MS);
    await this.take(patient);
    cable.mend();
    await this.untilBeats(brief);
    // On a machine that is slow enough it was beyond the lease.
    if (performance.now() - since < TTL_MS) assert.deepEqual(await cluster.expired(), []);
    await this.allServe();
  }

  async beyondTheLease(): Promise<void> {
    const { cluster, clients, cable, patient, brief } = this;
    const rejoined = brief.said(REJOINED).length + 1;
    const epoch = await cluster.epochOf(brief);
    await this.cut();
    // What leaves then nobody hears of before it is back.
    await this.take(brief);
    await cluster.untilExpired([epoch]);
    assert.equal(await clients.take(brief, KEPT), 'STORE_UNAVAILABLE', 'past its deadline');
    await this.take(patient);
    await clients.untilServes(this.near);
    cable.mend();
    await brief.untilSaid(REJOINED, rejoined);
    await this.allServe();
    const corrected = brief.said(CORRECTED).filter(({ dispensed }) => dispensed !== 0);
    assert.ok(corrected.length > 0, 'nothing left while it was cut off');
  }

  /** One node is gone, and all others are cut off from before to after the end of its lease. */
  async ofTheReapers(): Promise<void> {
    const { cluster, cable, near, brief, patient } = this;
    const epoch = await cluster.epochOf(near);
    await near.kill();
    // They have seen it as it stays.
    await Promise.all([brief, patient].map((node) => this.untilBeats(node)));
    cable.cut();
    await sleep(TTL_MS);
    const mendedAt = performance.now();
    cable.mend();
    await cluster.untilExpired([epoch]);
    const ms = performance.now() - mendedAt;
    assert.ok(ms > TTL_MS, `given up after ${ms} ms, of which it was watched`);
    await near.start();
    await this.allServe();
  }

  /** Those that are cut off have some ready; the last beat is not older than what is returned. */
  async cut(): Promise<number> {
    await Promise.all([this.brief, this.patient].map((node) => node.untilReady(KEPT)));
    const since = await this.untilBeats(this.brief);
    this.cable.cut();
    return since;
  }

  async take(node: ClusterNode): Promise<void> {
    for (let taken = 0; taken < TAKEN; taken++) {
      assert.equal(await this.clients.take(node, KEPT), undefined, 'none was ready');
    }
  }

  /** Once more: after the time that is returned. */
  async untilBeats(node: ClusterNode): Promise<number> {
    let since = performance.now();
    const before = await this.beats(node);
    for (let at = since; (await this.beats(node)) === before; at = performance.now()) {
      since = at;
      await sleep(LOOK_MS);
    }
    return since;
  }

  async beats({ id }: ClusterNode): Promise<number> {
    const text = 'SELECT sum(beats)::int AS beats FROM vanitypool.epochs WHERE node_id = $1';
    const [row] = await this.cluster.sql<{ beats: number }>(text, [id]);
    return row!.beats;
  }

  async allServe(): Promise<void> {
    await Promise.all(this.cluster.nodes.map((node) => this.clients.untilServes(node)));
  }
}

async function partition(t: TestContext): Promise<void> {
  await using cable = await Cable.laid();
  const pools = [...POOLS, KEPT].map((name) => ({ name, suffix: 't', ...QUEUE }));
  const nodes = [{}, { cable, ttlSeconds: LONG_TTL_SECONDS }, { cable }].map((node) => ({
    ...node,
    environment: DILIGENTLY,
  }));
  await using cluster = await Cluster.start({ pools, nodes });
  const random = randomOf(SEED);
  using clients = new ClusterClients(cluster.nodes, random, await cluster.token(QUOTA), REST_MS);
  const scene = new Scene(cluster, clients, cable);
  const epoch = await cluster.epochOf(scene.patient);
  clients.start();
  await scene.allServe();
  await scene.lessThanTheLease();
  await scene.beyondTheLease();
  await scene.ofTheReapers();
  assert.equal(await cluster.epochOf(scene.patient), epoch, 'its lease was never over');
  await clients.stop();
  await clients.askAgain();
  await Promise.all(cluster.nodes.map((node) => node.stop()));

  const { wrong, counts, expiries } = await judged(cluster, clients, QUOTA);
  const seen = { ...counts, ...clients.seen, expiries };
  t.diagnostic(`CLUSTER_SEED=${SEED} ${JSON.stringify(seen)}`);
  assert.deepEqual(wrong.slice(0, SHOWN), [], `${wrong.length} faults, CLUSTER_SEED=${SEED}`);
}

test('nodes at the end of a cable that is cut', LIMIT, partition);
