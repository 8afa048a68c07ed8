/**
 * Counts how often somebody came within a window of time; windows follow each other, so that two may
 * pass at the seam of two what one window allows. Runs in the HTTP threads, each of which counts for
 * itself. It holds at most KEYS_MAX names; further names share one count.
 *
 * By hand and not by @fastify/rate-limit: that is a hook more, three headers more on each reply and
 * no other rule for those who have no valid token.
 */
import { isIP } from 'node:net';

const KEYS_MAX = 10_000;
const OTHERS = '';

export class RateLimit {
  readonly #windowMs: number;
  readonly #counts = new Map<string | number, number>();
  #endsAt = 0;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** How often `who` came in this window, this time included. */
  count(who: string | number, now = performance.now()): number {
    if (now >= this.#endsAt) {
      this.#counts.clear();
      this.#endsAt = now + this.#windowMs;
    }
    const isFull = this.#counts.size >= KEYS_MAX && !this.#counts.has(who);
    const key = isFull ? OTHERS : who;
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    return count;
  }

  /** Whole seconds until the next window, from 1. */
  get secondsLeft(): number {
    return Math.max(1, Math.ceil((this.#endsAt - performance.now()) / 1000));
  }
}

/**
 * By what an address counts: one client has all of an IPv6 network of 64 bits. What a proxy names and
 * is none counts as `unknown`; over a Unix socket there is none.
 */
export function networkOf(address: string | undefined): string {
  if (address === undefined) return 'socket';
  const [bare = ''] = address.split('%');
  const version = isIP(bare);
  if (version !== 6) return version === 4 ? bare : 'unknown';
  const mapped = /^::ffff:([\d.]+)$/i.exec(bare)?.[1];
  if (mapped !== undefined) return mapped;
  const [left = '', right] = bare.split('::');
  const groups = left === '' ? [] : left.split(':');
  if (right !== undefined) {
    const tail = right === '' ? 0 : right.split(':').length;
    while (groups.length + tail < 8) groups.push('0');
  }
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(':')}::/64`;
}
