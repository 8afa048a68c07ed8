/** The deletion of a pool of a store that others share: they end their queues first. Any thread may use it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { VanityError } from '../errors.ts';

/** Of a pool, as far as one call of `Store.removePool` came. */
export interface Removal {
  /** By that call. */
  readonly burned: number;
  /** Another run has nothing of it leased any more, and the pool is gone. */
  readonly isOver: boolean;
}

/** Less than a request waits, with `everywhere`. */
const OTHERS_MS = 4000;
const LOOK_MS = 100;

/**
 * Goes on with what has begun: how many were burned. Error: STORE_UNAVAILABLE after some seconds; what was done
 * stands, and the same again goes on.
 */
export async function untilRemoved(
  name: string,
  begun: Removal,
  remove: () => Promise<Removal>,
): Promise<number> {
  let { burned, isOver } = begun;
  for (let waitedMs = 0; !isOver; waitedMs += LOOK_MS) {
    if (waitedMs >= OTHERS_MS) {
      const detail = `pool ${name}: is being deleted; another node has not ended its queue yet`;
      throw new VanityError('STORE_UNAVAILABLE', detail, { retryAfterSeconds: 1 });
    }
    await sleep(LOOK_MS);
    const next = await remove();
    isOver = next.isOver;
    burned += next.burned;
  }
  return burned;
}
