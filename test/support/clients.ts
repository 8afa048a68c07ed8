/**
 * Clients of a server that dies under them, and the book of all that they sent and received, over
 * all lives of the server. A reply that is not whole is none. The book judges each reply as it
 * comes: nothing comes twice but for the same idempotency key, and then the same text.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type Agent, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { base58 } from '@scure/base';
import { proveExpandedKey } from '../../src/keypair/expanded.ts';
import type { Handed } from './server.ts';

export interface Asked {
  readonly pool: string;
  readonly count: number;
  readonly key?: string;
}

/** Refusals that a server under load may give; nothing of them is kept for a key. */
const REFUSALS: readonly string[] = ['POOL_EMPTY', 'STORE_UNAVAILABLE', 'IDEMPOTENCY_IN_FLIGHT'];
/** Of a keypair, where its public key begins. */
const SEED_BYTES = 32;

/** What one idempotency key was asked for, and its reply. */
interface Keyed {
  readonly asked: Asked;
  /** The life of the server in which it was first asked, and that of its first reply. */
  readonly askedIn: number;
  repliedIn: number | undefined;
  reply: string | undefined;
  /** Asked again in a later life than that of its reply, with the same reply. */
  isConfirmed: boolean;
}

export class Book {
  /** Each address once, in the order in which they came. */
  readonly received: Handed[] = [];
  /** Of the server: it is recognised by having been started again. */
  life = 0;
  /** Addresses that were asked for without a key in requests that got no reply. */
  unheard = 0;
  confirmed = 0;
  readonly #ids = new Set<number>();
  readonly #addresses = new Set<string>();
  readonly #keyed = new Map<string, Keyed>();
  readonly #hashes = new Set<string>();
  #checked = 0;
  #uncheckedKeys: Keyed[] = [];
  #checkedKeys = 0;
  readonly #refusals: readonly string[];

  /** `refusals`: codes that a server in this trial may give beside those that any may. */
  constructor(...refusals: readonly string[]) {
    this.#refusals = [...REFUSALS, ...refusals];
  }

  /** One request; resolves when it is answered, refused or cut off. False if it was cut off. */
  async ask(url: string, asked: Asked, agent: Agent | false = false): Promise<boolean> {
    const keyed = this.#keyedOf(asked);
    const answer = await send(url, asked, agent);
    const code = answer === undefined ? 'cut off' : codeOf(answer);
    if (code !== undefined) {
      if (answer !== undefined) this.assertRefusal(answer);
      if (keyed === undefined) this.unheard += asked.count;
      return answer !== undefined;
    }
    if (keyed === undefined) this.receive(asked.count, answer!.text);
    else this.#receiveKeyed(keyed, answer!.text);
    return true;
  }

  /** What is answered is one of the refusals that may be. */
  assertRefusal({ status, text }: Reply): void {
    const code = codeOf({ status, text });
    assert.ok(code !== undefined && this.#refusals.includes(code), `${status}: ${text}`);
  }

  /** Keys to ask for again: those that had no reply, or had one in an earlier life only. */
  owed(): Asked[] {
    return [...this.#keyed.values()]
      .filter(({ isConfirmed, askedIn }) => !isConfirmed && askedIn < this.life)
      .map(({ asked }) => asked);
  }

  /** Keys that have no reply yet. */
  unanswered(): Asked[] {
    const keyed = [...this.#keyed.values()];
    return keyed.filter(({ reply }) => reply === undefined).map(({ asked }) => asked);
  }

  /** Every key that was ever asked for. */
  keys(): Asked[] {
    return [...this.#keyed.values()].map(({ asked }) => asked);
  }

  /** All that came before now is dispensed in the store, and what came for a key is known by one. */
  checkReceived(directory: string): void {
    using db = new DatabaseSync(join(directory, 'store.db'), { readOnly: true });
    const stateOf = db.prepare(`SELECT id, state FROM addresses JOIN segments USING (pool_id)
      WHERE key_hash = ? AND first = (SELECT max(first) FROM segments AS before
        WHERE before.pool_id = addresses.pool_id AND before.first <= seq)`);
    for (const { id, address } of this.received.slice(this.#checked)) {
      const hash = createHash('sha256').update(base58.decode(address)).digest();
      const found = { ...stateOf.get(hash) };
      assert.deepEqual(found, { id, state: 'dispensed' }, `address ${id} of ${this.life - 1}`);
    }
    this.#checked = this.received.length;
    this.#checkKeys(db);
  }

  /** From the first address of each reply to the hand-out that begins with it. */
  #checkKeys(db: DatabaseSync): void {
    const keyOf = db.prepare(`SELECT hand_outs.key_hash, count FROM addresses
      JOIN leases ON leases.pool_id = addresses.pool_id AND seq BETWEEN first AND last
      JOIN hand_outs ON hand_outs.pool_id = leases.pool_id AND hand_outs.epoch = leases.epoch
        AND hand_outs.position = leases.position + seq - first
      WHERE addresses.id = ?`);
    for (const { asked, reply } of this.#uncheckedKeys) {
      const [first] = addressesIn(reply!);
      const rows = keyOf.all(first!.id);
      assert.equal(rows.length, 1, `address ${first!.id} of key ${asked.key}`);
      assert.equal(rows[0]!.count, asked.count);
      this.#hashes.add(Buffer.from(rows[0]!.key_hash as Uint8Array).toString('hex'));
      this.#checkedKeys++;
    }
    this.#uncheckedKeys = [];
    assert.equal(this.#hashes.size, this.#checkedKeys, 'each key has a hash of its own');
  }

  #keyedOf(asked: Asked): Keyed | undefined {
    const { key } = asked;
    if (key === undefined) return undefined;
    const fresh = { asked, askedIn: this.life, repliedIn: undefined, reply: undefined };
    const keyed = this.#keyed.get(key) ?? { ...fresh, isConfirmed: false };
    this.#keyed.set(key, keyed);
    return keyed;
  }

  #receiveKeyed(keyed: Keyed, text: string): void {
    if (keyed.reply === undefined) {
      keyed.reply = text;
      keyed.repliedIn = this.life;
      this.#uncheckedKeys.push(keyed);
      this.receive(keyed.asked.count, text);
      return;
    }
    assert.equal(text, keyed.reply, `key ${keyed.asked.key}: another reply`);
    if (keyed.repliedIn === this.life || keyed.isConfirmed) return;
    keyed.isConfirmed = true;
    this.confirmed++;
  }

  /** A reply with `count` addresses that came for the first time. */
  receive(count: number, text: string): void {
    const addresses = addressesIn(text);
    assert.equal(addresses.length, count);
    for (const handed of addresses) {
      const { id, address, secretKey, expandedKey } = handed;
      assert.ok(!this.#ids.has(id), `id ${id} came twice`);
      assert.ok(!this.#addresses.has(address), `address ${id} came twice`);
      if (expandedKey !== undefined) {
        assert.ok(proveExpandedKey(base58.decode(expandedKey), base58.decode(address)));
      } else assert.equal(base58.encode(base58.decode(secretKey).subarray(SEED_BYTES)), address);
      this.#ids.add(id);
      this.#addresses.add(address);
      this.received.push(handed);
    }
  }
}

export interface Reply {
  readonly status: number;
  readonly text: string;
}

export function addressesIn(text: string): Handed[] {
  return (JSON.parse(text) as { addresses: Handed[] }).addresses;
}

/** Of a refusal; undefined of a reply with addresses. */
function codeOf({ status, text }: Reply): string | undefined {
  return status === 200 ? undefined : String((JSON.parse(text) as { code: unknown }).code);
}

function send(url: string, asked: Asked, agent: Agent | false): Promise<Reply | undefined> {
  const { pool, count, key } = asked;
  return post(new URL(`/v1/pools/${pool}/dispense`, url), { count }, key, agent);
}

/** Without an agent on a connection of its own; DELETE without a body. Undefined if no whole reply came. */
export function post(
  url: URL,
  body: object | undefined,
  key?: string,
  agent: Agent | false = false,
  token?: string,
): Promise<Reply | undefined> {
  const method = body === undefined ? 'DELETE' : 'POST';
  const headers = {
    ...(body !== undefined && { 'content-type': 'application/json' }),
    ...(key !== undefined && { 'idempotency-key': key }),
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };
  return new Promise((resolve) => {
    const call = httpRequest(url, { method, agent, headers }, (reply) => {
      let text = '';
      reply.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      reply.on('error', () => resolve(undefined));
      reply.on('close', () =>
        resolve(reply.complete ? { status: reply.statusCode!, text } : undefined),
      );
    });
    call.on('error', () => resolve(undefined)).end(body && JSON.stringify(body));
  });
}
