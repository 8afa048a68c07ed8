/**
 * The beginning of an epoch: what the last one had leased and did not return is settled, by what
 * its dispense journals say. Runs in the store thread, inside the transaction of opening.
 */
import type { Durability } from '../../config/config.ts';
import { placeName } from '../../disk/place.ts';
import type { SealingKey } from '../../keypair/sealing-key.ts';
import type { HandOut } from '../hand-out.ts';
import type { OwnClock } from '../own-clock.ts';
import { endOf } from '../positions.ts';
import { without } from '../ranges.ts';
import type { Recover, Recovered } from '../recovery.ts';
import type { HandOutBook } from './hand-out-book.ts';
import type { Segments } from './segments.ts';
import {
  type MetaRow,
  metaOf,
  type PoolRow,
  poolRows,
  type Statements,
  saveTime,
} from './statements.ts';

export interface Epoch {
  readonly storeId: string;
  readonly place: string;
  readonly number: number;
  readonly recovered: Readonly<Record<string, Recovered>>;
}

/** What an epoch is settled and begun with. */
interface Books {
  readonly statements: Statements;
  readonly segments: Segments;
  readonly handOuts: HandOutBook;
}

/** Begins an epoch, after what the last one has left leased is settled. */
export function startEpoch(
  books: Books,
  key: SealingKey,
  clock: OwnClock,
  begin: { readonly recover?: Recover; readonly durability?: Durability },
): Epoch {
  const { recover, durability = 'leased' } = begin;
  const { statements } = books;
  const meta = metaOf(statements);
  const recovered = settleLast(books, recover, clock);
  statements.limitReservations.run(clock.now, Number(clock.isInDoubt));
  saveTime(statements, clock);
  statements.startEpoch.run(key.publicKey, durability);
  statements.startPositions.run();
  return {
    storeId: meta.store_id,
    place: placeName(meta.place!),
    number: meta.epoch + 1,
    recovered,
  };
}

/** What the last epoch has left leased, by what its journals say: then they are of no use any more. */
export function settleLast(
  books: Books,
  recover: Recover | undefined,
  clock: OwnClock,
): Record<string, Recovered> {
  const { statements } = books;
  const meta = metaOf(statements);
  const recovered: Record<string, Recovered> = {};
  for (const pool of poolRows(statements)) {
    const left = settle(books, meta, pool, clock, unrecorded(statements, meta, pool, recover));
    if (pool.leased > 0) recovered[pool.name] = left;
  }
  statements.removeJournals.run();
  return recovered;
}

/** What the journals of the pool say that the store has not; undefined if one is not trusted. */
function unrecorded(
  statements: Statements,
  { store_id: storeId, place, epoch, durability }: MetaRow,
  { id }: PoolRow,
  recover: Recover | undefined,
): readonly HandOut[] | undefined {
  // Nothing left before it was recorded: no journal has to say so.
  if (durability === 'committed') return [];
  if (recover === undefined) return undefined;
  const handOuts: HandOut[] = [];
  for (const row of statements.journals.all(id)) {
    const [number, recorded, leases] = [row.number, row.recorded, row.leases].map(Number);
    const run = { storeId, place: placeName(place!), epoch };
    const last = { ...run, number: number!, recorded: recorded!, leases: leases! };
    const found = recover(last);
    if (found === undefined) return undefined;
    handOuts.push(...found);
  }
  return handOuts;
}

function settle(
  { segments, handOuts }: Books,
  { epoch }: MetaRow,
  { id, leased, position }: PoolRow,
  clock: OwnClock,
  records: readonly HandOut[] | undefined,
): Recovered {
  const at = clock.now;
  const popped = endOf(records ?? [], position) - position;
  if (records === undefined || popped > leased) {
    const burned = segments.changeAll(id, 'leased', { to: 'burned', epoch, at, cause: 'crash' });
    return { dispensed: 0, returned: 0, burned };
  }
  const queue = { pool: id, epoch };
  const unseen = handOuts.unseenOf(queue, position, records);
  const left = without(segments.oldest(id, 'leased', popped), unseen);
  for (const range of left) segments.change(id, range, 'leased', { to: 'dispensed', epoch, at });
  const seen = records.filter(({ isUnseen }) => !isUnseen);
  const told = seen.map((record) => ({ ...record, at: clock.recovered(record.at) }));
  handOuts.record(queue, position, { records: told, journals: new Map() });
  return {
    dispensed: popped - unseen.length,
    returned: segments.changeAll(id, 'leased', { to: 'available' }),
    burned: 0,
  };
}
