/**
 * Clients of a cluster, and the book of what they got. Each request is made once and ends with a whole reply,
 * an error, or cut off; what may have left without being received is counted. They ask whichever nodes run:
 * with and without idempotency keys, one key on several nodes at once, reservations that another node dispenses
 * than made them, and one token with a quota.
 */
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { post } from './clients.ts';
import type { ClusterNode } from './cluster.ts';
import type { randomOf } from './sequence.ts';
import type { Handed } from './server.ts';

export const POOLS = ['one', 'two'] as const;
const COUNT_MAX = 4;
const REST_MS = 60;
/** How long one request keeps a client from the next. */
const PATIENCE_MS = 500;
const ASKED_AGAIN_BY = 4;
const AGAIN_MS = 100;
const RESERVED_SECONDS = 3600;

/** What a node may answer while things happen to it. Nothing left with any of these without a key or a quota. */
const REFUSALS: readonly string[] = [
  'DRAINING',
  'IDEMPOTENCY_IN_FLIGHT',
  'JOURNAL_UNAVAILABLE',
  'POOL_EMPTY',
  'REQUEST_TIMEOUT',
  'STORE_UNAVAILABLE',
];

type Pool = (typeof POOLS)[number];

export interface Keyed {
  readonly key: string;
  readonly pool: Pool;
  readonly count: number;
  reply: string | undefined;
}

export interface Reserved {
  readonly id: string;
  readonly address: string;
  state: 'held' | 'dispensed' | 'releasing' | 'released';
}

interface Answer {
  /** 0 if no whole reply came. */
  readonly status: number;
  /** undefined if it is what was asked for. */
  readonly code: string | undefined;
  readonly text: string;
}

export class ClusterClients implements Disposable {
  /** By address: what it was received for. */
  readonly received = new Map<string, string>();
  readonly keyed: Keyed[] = [];
  readonly reserved: Reserved[] = [];
  /** By pool: addresses of requests that did not end with them, and may have left all the same. */
  readonly mayHaveLeft = new Map<string, number>();
  /** What must not be. */
  readonly wrong: string[] = [];
  readonly seen = { requests: 0, cut: 0, refused: 0, repeated: 0, ofQuota: 0, beyondQuota: 0 };
  readonly #nodes: readonly ClusterNode[];
  readonly #random: ReturnType<typeof randomOf>;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #pending = new Set<Promise<unknown>>();
  readonly #token: string;
  readonly #restMs: number;
  #clients: Promise<unknown>[] = [];
  #isStopped = false;

  /** `token`: with a quota. `restMs`: how long each client rests at most after a request. */
  constructor(
    nodes: readonly ClusterNode[],
    random: ReturnType<typeof randomOf>,
    token: string,
    restMs = REST_MS,
  ) {
    this.#nodes = nodes;
    this.#random = random;
    this.#token = token;
    this.#restMs = restMs;
  }

  start(): void {
    const each = this.#nodes.map((node) => this.#again(() => this.#plain(node)));
    const others = [this.#askForKeys, this.#reserve, this.#askWithQuota];
    this.#clients = [...each, ...others.map((client) => this.#again(client))];
  }

  /** When all that was asked is answered or cut off. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#clients);
    await Promise.all(this.#pending);
  }

  /** Whatever they wait for. */
  [Symbol.dispose](): void {
    this.#isStopped = true;
    this.#agent.destroy();
  }

  /** Every key once more, until it has a reply; and all of the quota. */
  async askAgain(): Promise<void> {
    const left = this.keyed.values();
    const client = async (): Promise<void> => {
      for (const one of left)
        while ((await this.#askKeyed(this.#node(), one)) !== undefined) await sleep(REST_MS);
    };
    await Promise.all(Array.from({ length: ASKED_AGAIN_BY }, client));
    while (this.seen.beyondQuota === 0) await this.#askWithQuota();
    await Promise.all(this.#pending);
  }

  /** One address without a key: the code of the error, or undefined. */
  async take(node: ClusterNode, pool: string = POOLS[0], count = 1): Promise<string | undefined> {
    const { status, code, text } = await this.#ask(node, `pools/${pool}/dispense`, { count });
    if (status === 200) this.#receive(text, `request ${this.seen.requests}`);
    // Popped, and not committed in time.
    if (status !== 200 && (status === 0 || code === 'STORE_UNAVAILABLE')) this.#lose(pool, count);
    return code;
  }

  /** One address for a key that nobody has used: as `take`. */
  takeForKey(node: ClusterNode): Promise<string | undefined> {
    return this.#askKeyed(node, this.#newKey(1));
  }

  /** Until it has handed out, and recorded what it hands out for a key. */
  async untilServes(node: ClusterNode): Promise<void> {
    while ((await this.take(node)) !== undefined) await sleep(AGAIN_MS);
    const one = this.#newKey(1);
    while ((await this.#askKeyed(node, one)) !== undefined) await sleep(AGAIN_MS);
  }

  async #again(client: () => Promise<unknown>): Promise<void> {
    while (!this.#isStopped) {
      await sleep(this.#random(1, this.#restMs));
      if (this.#up.length > 0) await client.call(this);
    }
  }

  get #up(): readonly ClusterNode[] {
    return this.#nodes.filter(({ isUp }) => isUp);
  }

  #node(): ClusterNode {
    const up = this.#up.length > 0 ? this.#up : this.#nodes;
    return up[this.#random(0, up.length - 1)]!;
  }

  /** One after the other from this node, however long it takes. */
  async #plain(node: ClusterNode): Promise<void> {
    if (!node.isUp) return;
    await this.take(node, this.#pool(), this.#random(1, COUNT_MAX));
  }

  async #askForKeys(): Promise<void> {
    const one = this.#newKey(this.#random(1, COUNT_MAX));
    const asked = this.#up.map((node) => this.#askKeyed(node, one));
    const old = this.keyed[this.#random(0, this.keyed.length - 1)]!;
    await this.#patiently([...asked, this.#askKeyed(this.#node(), old)]);
  }

  #newKey(count: number): Keyed {
    const key = `key ${this.keyed.length}`;
    const one = { key, pool: this.#pool(), count, reply: undefined };
    this.keyed.push(one);
    return one;
  }

  /** The code of the error, or undefined. */
  async #askKeyed(node: ClusterNode, one: Keyed): Promise<string | undefined> {
    const { key, pool, count } = one;
    const path = `pools/${pool}/dispense`;
    const { code, text } = await this.#ask(node, path, { count }, { key });
    if (code !== undefined) return code;
    if (one.reply === undefined) {
      one.reply = text;
      this.#receive(text, key);
    } else if (one.reply === text) this.seen.repeated++;
    else this.wrong.push(`${key} has two replies`);
    return undefined;
  }

  async #reserve(): Promise<void> {
    const pool = this.#pool();
    const made = await this.#patiently([this.#made(pool)]);
    const one = made[0];
    if (one === undefined) return;
    const drawn = this.#random(1, 4);
    if (drawn === 1) return;
    if (drawn === 2) {
      one.state = 'releasing';
      const { status } = await this.#ask(this.#node(), `reservations/${one.id}`, undefined);
      if (status === 204) one.state = 'released';
      return;
    }
    await this.#patiently(this.#up.map((node) => this.#dispenseReserved(node, one)));
  }

  async #made(pool: Pool): Promise<Reserved | undefined> {
    const asked = { ttlSeconds: RESERVED_SECONDS };
    const { status, text } = await this.#ask(this.#node(), `pools/${pool}/reservations`, asked);
    if (status !== 201) {
      this.#lose(pool, 1);
      return undefined;
    }
    const { id, address } = JSON.parse(text) as Reserved;
    const one: Reserved = { id, address, state: 'held' };
    this.reserved.push(one);
    this.#note(address, `reservation ${id}`);
    return one;
  }

  async #dispenseReserved(node: ClusterNode, one: Reserved): Promise<void> {
    const { status, text } = await this.#ask(node, `reservations/${one.id}/dispense`, {});
    if (status !== 200) return;
    one.state = 'dispensed';
    const [handed] = (JSON.parse(text) as { addresses: Handed[] }).addresses;
    if (handed!.address !== one.address) this.wrong.push(`reservation ${one.id}: another address`);
  }

  async #askWithQuota(): Promise<void> {
    // All at once while there is something of it left.
    const asked = this.seen.beyondQuota === 0 ? this.#up : [this.#node()];
    await this.#patiently(
      asked.map(async (node) => {
        const [pool, count] = [this.#pool(), this.#random(1, COUNT_MAX)];
        const path = `pools/${pool}/dispense`;
        const { status, code, text } = await this.#ask(
          node,
          path,
          { count },
          { token: this.#token },
        );
        if (status === 200) {
          this.seen.ofQuota += count;
          this.#receive(text, `request ${this.seen.requests}`);
        } else if (code === 'QUOTA_EXCEEDED') this.seen.beyondQuota++;
        else this.#lose(pool, count);
      }),
    );
  }

  /** Goes on without those that take long. */
  async #patiently<T>(asked: readonly Promise<T>[]): Promise<(T | undefined)[]> {
    const answers: (T | undefined)[] = asked.map(() => undefined);
    const all = Promise.all(
      asked.map(async (one, index) => {
        answers[index] = await one;
      }),
    );
    this.#pending.add(all);
    void all.then(() => this.#pending.delete(all));
    const end = new AbortController();
    const { signal } = end;
    await Promise.race([all, sleep(PATIENCE_MS, undefined, { signal }).catch(() => undefined)]);
    end.abort();
    return answers;
  }

  #pool(): Pool {
    return POOLS[this.#random(0, POOLS.length - 1)]!;
  }

  #lose(pool: string, count: number): void {
    this.mayHaveLeft.set(pool, (this.mayHaveLeft.get(pool) ?? 0) + count);
  }

  #receive(text: string, source: string): void {
    for (const { address } of (JSON.parse(text) as { addresses: Handed[] }).addresses) {
      this.#note(address, source);
    }
  }

  #note(address: string, source: string): void {
    const before = this.received.get(address);
    if (before !== undefined) this.wrong.push(`${address} came twice: ${before}, ${source}`);
    this.received.set(address, source);
  }

  async #ask(
    { server }: ClusterNode,
    path: string,
    body: object | undefined,
    { key, token }: { readonly key?: string; readonly token?: string } = {},
  ): Promise<Answer> {
    this.seen.requests++;
    const url = new URL(`/v1/${path}`, server.url);
    const reply = await post(url, body, key, this.#agent, token);
    if (reply === undefined) {
      this.seen.cut++;
      return { status: 0, code: 'cut off', text: '' };
    }
    const { status, text } = reply;
    if (status < 300) return { status, code: undefined, text };
    const { code } = JSON.parse(text) as { code: string };
    const mayBe = REFUSALS.includes(code) || (token !== undefined && code === 'QUOTA_EXCEEDED');
    if (!mayBe) this.wrong.push(`${path}: ${status} ${text}`);
    this.seen.refused++;
    return { status, code, text };
  }
}
