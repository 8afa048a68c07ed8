/**
 * Clients that ask one server for everything at once, and the book of what they got: over all its
 * lives no address comes twice, a key has one reply and a message one signature. Each request has a
 * connection of its own, so that any thread may get it, and each reply is validated against the server's
 * document. A server that is killed answers no more: that is `CutOff`.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeBase58 } from '../../src/keypair/address.ts';
import { isSignature } from '../../src/keypair/keypair.ts';
import { legacyMessage } from './messages.ts';
import type { Answer, Asking, Server, Workspace } from './server.ts';

/** Connections are spread over the threads by chance: all of four are met by so many. */
const EVERYWHERE = 24;
/** Of each kind of work, at once. */
const CLIENTS = 6;
/** Refusals of a server under load, after which the same request may succeed. */
const LATER: readonly string[] = ['POOL_EMPTY', 'STORE_UNAVAILABLE', 'IDEMPOTENCY_IN_FLIGHT'];

/** No whole reply came: the server was killed. */
export class CutOff extends Error {}

/** Each of `work` once, by a few clients at a time. */
export async function spread<T>(
  work: readonly T[],
  one: (item: T) => Promise<unknown>,
): Promise<void> {
  const left = work.values();
  const client = async (): Promise<void> => {
    for (const item of left) await one(item);
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

/** The same work, at once, with one outcome. */
export async function together<T>(times: number, work: () => Promise<T>): Promise<T> {
  const outcomes = await Promise.all(Array.from({ length: times }, work));
  for (const outcome of outcomes) assert.deepEqual(outcome, outcomes[0]);
  return outcomes[0]!;
}

export interface Held {
  readonly id: string;
  readonly address: string;
  /** Who holds it. */
  readonly token: string;
}

interface Keyed {
  readonly path: string;
  readonly token: string;
  readonly body: { readonly count?: number };
  reply: string | undefined;
}

interface Signing {
  readonly address: string;
  readonly memo: number;
  readonly token: string;
  signature: string | undefined;
}

export class Traffic {
  server!: Server;
  /** Of this life's command line: it may do everything. */
  admin = '';
  /** Addresses that were handed out or held, by pool. */
  readonly taken = new Map<string, Set<string>>();
  /**
   * By pool: addresses that may have left in requests that the kill cut off. With a key they come when
   * it is asked for again, but for those of one request at most: the store thread takes for one after
   * the other, and may have died before it wrote for whom.
   */
  readonly unheard = new Map<string, number>();
  /** By pool: addresses of the largest request with a key that was cut off. */
  readonly #largest = new Map<string, number>();
  readonly #workspace: Workspace;
  readonly #all = new Set<string>();
  readonly #keyed = new Map<string, Keyed>();
  readonly #signings = new Map<string, Signing>();
  #answersLeft = Number.POSITIVE_INFINITY;
  #isKilled = false;

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
  }

  async serve(): Promise<void> {
    this.server = await this.#workspace.serve();
    this.admin = readFileSync(join(this.#workspace.data, 'admin.token'), 'utf8').trim();
    this.#isKilled = false;
    this.#answersLeft = Number.POSITIVE_INFINITY;
  }

  /** SIGKILL, as soon as so many more replies have come. */
  killAfter(answers: number): void {
    this.#answersLeft = answers;
  }

  /** What the server says in the end; asks again while it is only short of something. */
  async ask(method: string, path: string, asking: Asking): Promise<Answer> {
    for (;;) {
      const answer = await this.server.ask(method, path, asking).catch((error: Error) => {
        const isCut =
          error instanceof TypeError && /^(fetch failed|terminated)$/.test(error.message);
        throw this.#isKilled && isCut ? new CutOff(path, { cause: error }) : error;
      });
      if (--this.#answersLeft === 0) {
        this.#isKilled = true;
        void this.server.kill('SIGKILL');
      }
      if (!LATER.includes(answer.body?.code)) return answer;
      await sleep(20);
    }
  }

  /** With this status, and with this code if it is an error. */
  async expect(status: number | string, method: string, path: string, asking: Asking) {
    const answer = await this.ask(method, path, asking);
    const said = answer.status < 400 ? answer.status : `${answer.status} ${answer.body.code}`;
    assert.equal(said, status, `${method} ${path}: ${answer.text}`);
    return answer;
  }

  /** On so many connections at once that every thread is asked. */
  everywhere<T>(work: () => Promise<T>): Promise<T[]> {
    return Promise.all(Array.from({ length: EVERYWHERE }, work));
  }

  /** Without a key. */
  async dispense(pool: string, count: number, token: string): Promise<Answer> {
    const path = `/v1/pools/${pool}/dispense`;
    this.#lose(pool, count);
    const answer = await this.ask('POST', path, { token, body: { count } });
    this.#lose(pool, -count);
    if (answer.status === 200) this.#take(pool, answer);
    return answer;
  }

  /** A dispense or a reservation; asked again, with the key alone, it is the same. */
  async askKeyed(
    key: string,
    path = '',
    token = '',
    body: { count?: number; ttlSeconds?: number } = {},
  ): Promise<Answer> {
    const keyed = this.#keyed.get(key) ?? { path, token, body, reply: undefined };
    this.#keyed.set(key, keyed);
    const pool = keyed.path.split('/')[3]!;
    const asking = { token: keyed.token, key, body: keyed.body };
    const answer = await this.ask('POST', keyed.path, asking).catch((error: Error) => {
      if (error instanceof CutOff) this.#cutOff(pool, keyed.body.count ?? 1);
      throw error;
    });
    if (answer.status >= 300) return answer;
    assert.equal(answer.text, keyed.reply ?? answer.text, `key ${key}: another reply`);
    if (keyed.reply === undefined) this.#take(pool, answer);
    keyed.reply = answer.text;
    return answer;
  }

  /** Of the requests of this token with a key, how many got what they asked for. */
  repliesTo(token: string): number {
    const keyed = [...this.#keyed.values()];
    return keyed.filter((one) => one.token === token && one.reply !== undefined).length;
  }

  /** Every reservation that was made, whatever became of it. */
  reservations(): Held[] {
    const made = [...this.#keyed.values()].filter(({ path }) => path.endsWith('/reservations'));
    return made.flatMap(({ reply, token }) =>
      reply === undefined ? [] : [{ ...JSON.parse(reply), token }],
    );
  }

  async reserve(pool: string, key: string, token: string, ttlSeconds = 600): Promise<Held> {
    const path = `/v1/pools/${pool}/reservations`;
    const { status, body, text } = await this.askKeyed(key, path, token, { ttlSeconds });
    assert.equal(status, 201, text);
    return { ...body, token };
  }

  /** Message number `memo` for this address of the pool `vault`: the signature, or why there is none. */
  async sign(address: string, memo: number, token: string): Promise<string> {
    const name = `${address} ${memo}`;
    const signing = this.#signings.get(name) ?? { address, memo, token, signature: undefined };
    this.#signings.set(name, signing);
    const publicKey = decodeBase58(address);
    const message = legacyMessage(publicKey, memo);
    const path = `/v1/pools/vault/addresses/${address}/signatures`;
    const sent = { message: Buffer.from(message).toString('base64') };
    const { status, body } = await this.ask('POST', path, { token, body: sent });
    if (status !== 200) {
      assert.equal(signing.signature, undefined, `${body.code} for what was signed before`);
      return body.code;
    }
    const { signature } = body as { signature: string };
    assert.equal(signature, signing.signature ?? signature, 'another signature');
    assert.ok(isSignature(publicKey, message, decodeBase58(signature)));
    signing.signature = signature;
    return signature;
  }

  /** So many addresses left the pool: those of the replies, and no more than the kill can explain. */
  assertHeard(pool: string, left: number): void {
    const unheard = left - this.taken.get(pool)!.size;
    assert.ok(
      unheard >= 0 && unheard <= (this.unheard.get(pool) ?? 0),
      `${pool}: ${unheard} unheard`,
    );
  }

  /** After another start: every key and every message once more, answered before or not. */
  async askAgain(): Promise<void> {
    await spread([...this.#keyed.keys()], (key) => this.askKeyed(key));
    const signings = [...this.#signings.values()];
    await spread(signings, ({ address, memo, token }) => this.sign(address, memo, token));
  }

  #lose(pool: string, more: number): void {
    this.unheard.set(pool, (this.unheard.get(pool) ?? 0) + more);
  }

  /** A request with a key: the largest of them counts, once. */
  #cutOff(pool: string, count: number): void {
    const before = this.#largest.get(pool) ?? 0;
    this.#largest.set(pool, Math.max(before, count));
    this.#lose(pool, Math.max(0, count - before));
  }

  #take(pool: string, { body }: Answer): void {
    const taken = this.taken.get(pool) ?? new Set();
    this.taken.set(pool, taken);
    for (const { address } of (body.addresses ?? [body]) as { address: string }[]) {
      assert.ok(!this.#all.has(address), `${address} came twice`);
      this.#all.add(address);
      taken.add(address);
    }
  }
}
