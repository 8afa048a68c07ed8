/**
 * Waits until a pool holds what a measurement needs, and says how long that will take: one line on
 * standard error, rewritten in place on a terminal, a line every 10 s anywhere else. Nothing is
 * taken meanwhile.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { formatCount, formatSeconds } from '../src/cli/format.ts';

const LOOK_MS = 500;
const ELSEWHERE_MS = 10_000;
const CLEAR_LINE = '\r\x1b[K';

/** Of `GET /v1/pools/{pool}`, what is needed here. */
export interface Stock {
  readonly available: number;
  readonly ready: number;
  readonly target: number;
  readonly paused: boolean;
  readonly grinding: { readonly active: boolean; readonly hitsPerSecond: number };
}

/** What can be taken now. */
export function stockOf({ available, ready }: Stock): number {
  return available + ready;
}

/** The first status with so many addresses. Errors: one that waiting does not help, or an abort. */
export async function waitForStock<T extends Stock>(
  needed: number,
  look: () => Promise<T>,
  signal: AbortSignal,
  stream: Pick<NodeJS.WriteStream, 'isTTY' | 'write'> = process.stderr,
): Promise<T> {
  let toldAt = Number.NEGATIVE_INFINITY;
  try {
    for (;;) {
      const status = await look();
      if (stockOf(status) >= needed) return status;
      assertWillCome(needed, status);
      const now = performance.now();
      if (stream.isTTY) stream.write(CLEAR_LINE + progressOf(needed, status));
      else if (now - toldAt >= ELSEWHERE_MS) stream.write(`${progressOf(needed, status)}\n`);
      if (now - toldAt >= ELSEWHERE_MS) toldAt = now;
      await sleep(LOOK_MS, undefined, { signal });
    }
  } finally {
    if (stream.isTTY && toldAt > 0) stream.write(CLEAR_LINE);
  }
}

function assertWillCome(needed: number, { target, paused }: Stock): void {
  if (paused) throw new Error('the pool is paused: nothing is handed out until it is resumed');
  if (target < needed) {
    throw new Error(
      `the pool is too small: ${needed} addresses are needed, its target is ${target}`,
    );
  }
}

function progressOf(needed: number, status: Stock): string {
  const have = stockOf(status);
  const { active, hitsPerSecond } = status.grinding;
  const eta = active
    ? `ETA ${formatSeconds((needed - have) / hitsPerSecond)}`
    : 'nothing is being ground now';
  return `waiting for ${formatCount(needed)} addresses: ${formatCount(have)} are there  ${eta}`;
}
