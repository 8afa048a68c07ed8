/**
 * The beginning of an epoch: what the last one had leased and did not return is settled, by what
 * its dispense journals say. Runs in the store thread, inside the transaction of opening.
 */
import type { Durability } from '../config.ts';
import type { SealingKey } from '../keypair/sealing-key.ts';
import type { Segments } from './segments.ts';
import { metaOf, type PoolRow, poolRows, type Statements } from './sqlite-statements.ts';
import type { LastEpoch, Recovered, Recovery } from './store.ts';

const UNTRUSTED: Recovery = { isTrusted: false, ends: new Map() };
/** Nothing left before it was recorded: no journal has to say so. */
const COMMITTED: Recovery = { isTrusted: true, ends: new Map() };

export interface Epoch {
  readonly storeId: string;
  readonly number: number;
  readonly recovered: Readonly<Record<string, Recovered>>;
}

/** Begins an epoch, after what the last one has left leased is settled. */
export function startEpoch(
  statements: Statements,
  segments: Segments,
  key: SealingKey,
  begin: { readonly recover?: (last: LastEpoch) => Recovery; readonly durability?: Durability },
): Epoch {
  const { recover, durability = 'leased' } = begin;
  const { store_id: storeId, epoch, journals, durability: lastDurability } = metaOf(statements);
  const left = poolRows(statements).filter(({ leased }) => leased > 0);
  const recovered: Record<string, Recovered> = {};
  if (left.length > 0) {
    const recovery =
      lastDurability === 'committed'
        ? COMMITTED
        : (recover?.({ storeId, epoch, journals }) ?? UNTRUSTED);
    for (const pool of left) recovered[pool.name] = settle(segments, pool, epoch, recovery);
  }
  statements.startEpoch.run(key.publicKey, durability);
  statements.startPositions.run();
  return { storeId, number: epoch + 1, recovered };
}

function settle(
  segments: Segments,
  { id, name, leased, position }: PoolRow,
  epoch: number,
  { isTrusted, ends }: Recovery,
): Recovered {
  const at = Date.now();
  const unrecorded = ((ends.get(name) ?? position) - position) | 0;
  if (!isTrusted || unrecorded > leased) {
    const burned = segments.changeAll(id, 'leased', { to: 'burned', epoch, at, cause: 'crash' });
    return { dispensed: 0, returned: 0, burned };
  }
  // Records that are older than the last turn are recorded already.
  const dispensed = segments.dispense(id, Math.max(unrecorded, 0), epoch, at);
  return { dispensed, returned: segments.changeAll(id, 'leased', { to: 'available' }), burned: 0 };
}
