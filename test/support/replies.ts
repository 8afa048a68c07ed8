/**
 * What clients know by some moment of a recorded trace (power-loss.ts), read from the replies that
 * were sent by then: which addresses have left, and how many are said to be ground.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { decodeBase58 } from '../../src/keypair/address.ts';
import type { TraceRecord } from './power-loss.ts';
import type { Handed, PoolFigures } from './server.ts';

/** What others know of one pool, by replies that may have left. */
class Told {
  /** By address, oldest first. */
  readonly left = new Map<string, { id: number; keyHash: string; sync: number; timeUs: number }>();
  ground = 0;
}

/** What others know by some moment of the trace. */
export class Replies {
  readonly pools: ReadonlyMap<string, Told>;
  readonly #suffixes: ReadonlyMap<string, string>;
  syncs = 0;
  timeUs = 0;

  /** Pools are distinguished by the last character of their addresses. */
  constructor(pools: readonly { readonly name: string; readonly suffix: string }[]) {
    this.pools = new Map(pools.map(({ name }) => [name, new Told()]));
    this.#suffixes = new Map(pools.map(({ name, suffix }) => [suffix, name]));
  }

  /** Returns the ids of addresses that leave with it. */
  hear({ kind, bytes, timeUs }: TraceRecord): number[] {
    this.timeUs = timeUs;
    if (kind === 'synced') this.syncs++;
    if (kind !== 'sent') return [];
    const [head, body] = bytes.toString('latin1').split('\r\n\r\n');
    if (!body?.startsWith('{')) return [];
    // A document is sent in pieces, and a reply with addresses is not.
    const length = /^content-length: (\d+)$/im.exec(head!)?.[1];
    if (Number(length) > body.length) return [];
    const reply = JSON.parse(body) as {
      addresses?: Handed[];
      pools?: (PoolFigures & { name: string })[];
    };
    for (const { name, ground } of reply.pools ?? []) this.pools.get(name)!.ground = ground;
    for (const { id, address } of reply.addresses ?? []) {
      const { left } = this.pools.get(this.#suffixes.get(address.at(-1)!)!)!;
      assert.ok(!left.has(address), 'it left once while all was well');
      const keyHash = createHash('sha256').update(decodeBase58(address)).digest('hex');
      left.set(address, { id, keyHash, sync: this.syncs, timeUs });
    }
    return reply.addresses?.map(({ id }) => id) ?? [];
  }
}
