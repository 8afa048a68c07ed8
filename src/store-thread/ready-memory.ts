/**
 * What the addresses that pools keep ready take of memory: their cells in the ready queue, and a slot in
 * the journal of each thread. Looked at before pools are served, since a process that is killed for
 * want of memory, or that fills `/dev/shm`, is found out much later. Runs in the store thread.
 *
 * What a pool leases first (`ready`) has to fit. What demand could make of it (`ready_max`) may well be
 * more than there is, as it is never asked of all pools at once: that is a warning.
 */
import { VanityError } from '../errors.ts';
import type { Log } from '../log.ts';
import { SLOT_BYTES } from '../pool/journal-layout.ts';
import { SLOTS_MIN } from '../pool/journal-parts.ts';
import { CELL_BYTES } from '../pool/ready-queue.ts';
import { memoryRoom, type Room } from '../system/memory-room.ts';

export interface ReadyFigures {
  readonly ready: number;
  readonly readyMax: number;
}

/**
 * Before so many pools are served that are not yet; `journals` of each lie in memory. `root` is where
 * /proc and /sys are looked for. Error: SYSTEM_LIMIT_REACHED, with the figures.
 */
export function assertReadyMemory(
  pools: readonly ReadyFigures[],
  journals: number,
  log: Pick<Log, 'warn'>,
  root = '/',
): void {
  const { bytes: room, of } = memoryRoom(root);
  const needed = bytesOf(pools, ({ ready }) => ready, journals);
  if (needed > room) throw tooLittle(pools.length, needed, { bytes: room, of });
  const could = bytesOf(pools, ({ readyMax }) => readyMax, journals);
  if (could <= room) return;
  log.warn(
    { pools: pools.length, couldMib: mebibytes(could), roomMib: mebibytes(room), of },
    'pools could grow beyond the available memory: a lower ready_max bounds them',
  );
}

/** Of `journals` for each pool, with a slot for each address that is kept ready first. */
export function journalBytes(pools: readonly ReadyFigures[], journals: number): number {
  const slots = pools.reduce((sum, { ready }) => sum + Math.max(ready, SLOTS_MIN), 0);
  return journals * slots * SLOT_BYTES;
}

export function tooLittle(pools: number, needed: number, { bytes, of }: Room): VanityError {
  const whose = pools === 1 ? 'one more pool' : `${pools} pools`;
  return new VanityError(
    'SYSTEM_LIMIT_REACHED',
    `${whose}: ${mebibytes(needed)} MiB are needed for what is kept ready and its journals, and ${of} leaves ` +
      `${mebibytes(bytes)} MiB; take a lower ready, fewer http.threads or fewer pools`,
  );
}

function bytesOf(
  pools: readonly ReadyFigures[],
  addressesOf: (pool: ReadyFigures) => number,
  journals: number,
): number {
  const figures = pools.map((pool) => ({ ...pool, ready: addressesOf(pool) }));
  const queues = figures.reduce((sum, { ready }) => sum + ready * CELL_BYTES, 0);
  return queues + journalBytes(figures, journals);
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
