/** How a start settles what a run that was killed had leased: by its dispense journals. */
import type { HandOut } from './hand-out.ts';

/** A dispense journal that the store is to count on. */
export interface NewJournal {
  readonly pool: string;
  /** Of the journal in its epoch, from 1. */
  readonly number: number;
}

/** A dispense journal of an epoch that has ended, cleanly or not. */
export interface LastJournal {
  readonly storeId: string;
  /** Of the store, as `Store.place`. */
  readonly place: string;
  readonly epoch: number;
  /** Of the journal in its epoch, from 1. */
  readonly number: number;
  /** Its records before this one are in the store. */
  readonly recorded: number;
  /** So many leases of its pool it has counted at least. */
  readonly leases: number;
}

/** Reads what a journal says that the store has not; undefined if it cannot be trusted. */
export type Recover = (journal: LastJournal) => readonly HandOut[] | undefined;

/** What became of the leases of a run that did not stop cleanly, of one pool. */
export interface Recovered {
  readonly dispensed: number;
  readonly returned: number;
  readonly burned: number;
}
