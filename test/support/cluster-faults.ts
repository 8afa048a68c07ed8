/** What befalls the nodes of a cluster and its database while clients ask, by seed; after each all work again. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, type ClusterNode, TTL_SECONDS } from './cluster.ts';
import type { ClusterClients } from './cluster-clients.ts';
import type { Fate } from './postgres-proxy.ts';
import type { randomOf } from './sequence.ts';

export const FAULTS = ['lost commits', 'away', 'crash', 'outage'] as const;
export type Fault = (typeof FAULTS)[number];

const REJOINED = 'a new run has begun';
const CORRECTED = 'what this run had leased when it was ended';
const LOOK_MS = 100;
/** Alone, and twice in a row, in all ways. */
const COMMITS: readonly (readonly Fate[])[] = [
  ['cut-answer'],
  ['lose'],
  ['cut-answer', 'cut-answer'],
  ['lose', 'lose'],
  ['cut-answer', 'lose'],
  ['lose', 'cut-answer'],
];

export class ClusterFaults {
  readonly #cluster: Cluster;
  readonly #clients: ClusterClients;
  readonly #random: ReturnType<typeof randomOf>;
  /** In ms: how long nobody reaches the database. */
  readonly #outageMs: number;
  #kills = 0;

  constructor(
    cluster: Cluster,
    clients: ClusterClients,
    random: ReturnType<typeof randomOf>,
    outageMs: number,
  ) {
    this.#cluster = cluster;
    this.#clients = clients;
    this.#random = random;
    this.#outageMs = outageMs;
  }

  /** A campaign in which one of these did not happen says nothing. */
  async seen() {
    const { nodes } = this.#cluster;
    const sum = (of: (node: ClusterNode) => number) =>
      nodes.reduce((total, node) => total + of(node), 0);
    return {
      kills: this.#kills,
      expiries: (await this.#cluster.expired()).length,
      rejoins: sum((node) => node.said(REJOINED).length),
      corrections: sum((node) => node.said(CORRECTED).filter((one) => one.dispensed !== 0).length),
      commitsIn: sum(({ turns }) => turns.seen.in),
      commitsNotIn: sum(({ turns }) => turns.seen.notIn),
      keysRefused: sum(({ turns }) => turns.seen.refusals),
    };
  }

  async happen(fault: Fault): Promise<void> {
    switch (fault) {
      case 'lost commits':
        await this.#loseCommits();
        break;
      case 'away':
        await this.#away();
        break;
      case 'crash':
        await this.#crash();
        break;
      case 'outage':
        await this.#outage();
        break;
    }
    await this.untilAllServe();
  }

  async untilAllServe(): Promise<void> {
    await Promise.all(this.#cluster.nodes.map((node) => this.#clients.untilServes(node)));
  }

  /** On two nodes at once, and sessions are ended in the middle of what they do. */
  async #loseCommits(): Promise<void> {
    const [one, two] = this.shuffled(this.#cluster.nodes) as [ClusterNode, ClusterNode];
    const fates = this.shuffled(COMMITS);
    const some = fates.length / 2;
    const lose = async (node: ClusterNode, losses: readonly (readonly Fate[])[]) => {
      for (const loss of losses) node.turns.fates.push(...loss, 'pass');
      while (node.turns.fates.length > 0) await sleep(LOOK_MS);
    };
    await Promise.all([lose(one, fates.slice(0, some)), lose(two, fates.slice(some))]);
    await this.#cluster.terminateSessions();
    await this.untilAllServe();
    await this.#cluster.terminateSessions();
  }

  /**
   * Past the time to live, of three nodes: one is killed, one stands still, one is cut off. The last one ends
   * them all, and goes on.
   */
  async #away(): Promise<void> {
    const nodes = this.shuffled(this.#cluster.nodes);
    const [gone, frozen, alone, last] = nodes as [
      ClusterNode,
      ClusterNode,
      ClusterNode,
      ClusterNode,
    ];
    const rejoined = [frozen, alone].map((node) => node.said(REJOINED).length + 1);
    const epochs = [];
    for (const node of [gone, frozen, alone]) epochs.push(await this.#cluster.epochOf(node));
    // What leaves then nobody hears of before it is back.
    await alone.untilReady();
    alone.proxy.isolate();
    await this.#clients.take(alone);
    frozen.freeze();
    // A machine that is lost says nothing; the sockets of a process that is killed are closed.
    if (this.#random(0, 1) === 1) gone.proxy.isolate();
    await this.#kill(gone);
    await this.#cluster.untilExpired(epochs);
    const answer = await this.#clients.take(alone);
    assert.notEqual(answer, undefined, 'handed out past its deadline');
    await this.#clients.untilServes(last);
    frozen.thaw();
    alone.proxy.rejoin();
    gone.proxy.rejoin();
    await Promise.all([
      gone.start(),
      ...[frozen, alone].map((node, index) => node.untilSaid(REJOINED, rejoined[index]!)),
    ]);
  }

  /** And back at once: a node, the server, and the server without a chance to say so. */
  async #crash(): Promise<void> {
    const { nodes, server } = this.#cluster;
    const [node] = this.shuffled(nodes) as [ClusterNode];
    await this.#kill(node);
    await node.start();
    await this.untilAllServe();
    const ends = [() => server.stop('SIGQUIT'), () => server.kill()];
    for (const end of this.shuffled(ends)) {
      await end();
      await sleep(this.#random(0, 500));
      await server.start();
      await this.untilAllServe();
    }
  }

  /** Of all nodes: nobody is given up. */
  async #outage(): Promise<void> {
    const { nodes } = this.#cluster;
    for (const { proxy } of nodes) proxy.isolate();
    await sleep(this.#outageMs);
    const before = await this.#cluster.expired();
    for (const { proxy } of nodes) proxy.rejoin();
    await this.untilAllServe();
    if (this.#outageMs < TTL_SECONDS * 1000) return;
    assert.deepEqual(await this.#cluster.expired(), before, 'an outage of all ended one');
  }

  async #kill(node: ClusterNode): Promise<void> {
    this.#kills++;
    await node.kill();
  }

  shuffled<T>(all: readonly T[]): T[] {
    const left = [...all];
    return all.map(() => left.splice(this.#random(0, left.length - 1), 1)[0]!);
  }
}
