/**
 * Reservations that clients of one server made over all its lives, and what became of them: one that
 * was answered is held until it is dispensed, and then gives the same whenever it is asked for again.
 */
import assert from 'node:assert/strict';
import { addressesIn, type Book, post } from './clients.ts';

const TTL_SECONDS = 86_400;

interface Hold {
  readonly id: string;
  readonly address: string;
  reply: string | undefined;
}

export class Holds {
  readonly #book: Book;
  readonly #holds: Hold[] = [];
  /** Requests for one that got no reply: each may hold an address that nobody knows of. */
  unheard = 0;

  /** What they give is received in `book`. */
  constructor(book: Book) {
    this.#book = book;
  }

  get all(): readonly Hold[] {
    return this.#holds;
  }

  /** False if it was cut off, here and below. */
  async make(url: string, pool: string): Promise<boolean> {
    const path = new URL(`/v1/pools/${pool}/reservations`, url);
    const answer = await post(path, { ttlSeconds: TTL_SECONDS });
    if (answer?.status !== 201) {
      this.unheard++;
      if (answer !== undefined) this.#book.assertRefusal(answer);
      return answer !== undefined;
    }
    const { id, address } = JSON.parse(answer.text) as Hold;
    assert.ok(!this.#holds.some((hold) => hold.address === address), 'it is held twice');
    this.#holds.push({ id, address, reply: undefined });
    return true;
  }

  async dispense(url: string, hold: Hold): Promise<boolean> {
    const answer = await post(new URL(`/v1/reservations/${hold.id}/dispense`, url), {});
    if (answer === undefined) return false;
    if (answer.status !== 200) {
      this.#book.assertRefusal(answer);
      return true;
    }
    if (hold.reply === undefined) {
      const [given] = addressesIn(answer.text);
      assert.equal(given!.address, hold.address, 'it is what was held');
      hold.reply = answer.text;
      this.#book.receive(1, answer.text);
    }
    assert.equal(answer.text, hold.reply, `reservation ${hold.id}: another reply`);
    return true;
  }

  /** All that are held still, until none is: refusals end some time. */
  async dispenseAll(url: string): Promise<void> {
    for (const hold of this.#holds) {
      while (hold.reply === undefined) assert.ok(await this.dispense(url, hold), 'it is answered');
    }
  }
}
