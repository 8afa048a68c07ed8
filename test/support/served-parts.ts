/** All that serves the pools of a store in the store thread, put together as a server does. */
import type { Log } from '../../src/log.ts';
import { ChangedPools } from '../../src/pool/changed-pools.ts';
import { Deadline } from '../../src/pool/deadline.ts';
import type { FileBudget } from '../../src/pool/file-budget.ts';
import type { Journals } from '../../src/pool/journals.ts';
import type { SharedPool } from '../../src/pool/shared-pool.ts';
import type { Store } from '../../src/store/store.ts';
import { Dispenser } from '../../src/store-thread/dispenser.ts';
import { type Exclusively, inTurn } from '../../src/store-thread/in-turn.ts';
import { OwnRecords } from '../../src/store-thread/own-records.ts';
import { PoolJournals } from '../../src/store-thread/pool-journals.ts';
import { Refiller, type RefillerOptions } from '../../src/store-thread/refiller.ts';
import { RenewedPools } from '../../src/store-thread/renewed-pools.ts';
import { ServedEntries } from '../../src/store-thread/served-entries.ts';
import { ServedPools } from '../../src/store-thread/served-pools.ts';
import { unlimitedFiles } from './unlimited-files.ts';

const WINDOW_MS = 3_600_000;

export interface PartsOptions {
  readonly store: Store;
  readonly journals: Journals;
  readonly log: Pick<Log, 'info' | 'warn'>;
  readonly exclusively?: Exclusively;
  readonly withoutInserts?: Exclusively;
  readonly changes?: ChangedPools;
  readonly deadline?: Deadline;
  readonly files?: FileBudget;
  /** Journals are made, as with `durability = "leased"`. */
  readonly areNeeded?: boolean;
  readonly onTurn?: RefillerOptions['onTurn'];
  readonly onChange?: (pools: readonly SharedPool[]) => void;
}

export class ServedParts {
  readonly refiller: Refiller;
  readonly own: OwnRecords;
  readonly poolJournals: PoolJournals;
  readonly dispenser: Dispenser;
  readonly entries: ServedEntries;
  readonly pools: ServedPools;
  readonly renewed: RenewedPools;
  /** Of requests that found their key served. */
  repeats = 0;

  constructor(options: PartsOptions) {
    const { store, journals, log, areNeeded = true } = options;
    const { exclusively = inTurn(), withoutInserts = inTurn() } = options;
    const { changes = new ChangedPools(), deadline = new Deadline() } = options;
    const { files = unlimitedFiles(), onTurn, onChange = () => undefined } = options;
    const common = { store, exclusively };
    this.refiller = new Refiller({
      ...{ ...common, changes },
      onTurn: (...turned) => {
        this.dispenser.sweep(turned[0]);
        onTurn?.(...turned);
      },
    });
    const { refiller } = this;
    const own = new OwnRecords(() => refiller.assertWorks());
    this.own = own;
    this.dispenser = new Dispenser({
      ...{ ...common, refiller, windowMs: WINDOW_MS },
      durability: areNeeded ? 'leased' : 'committed',
      prepare: own.prepare,
      record: own.record,
      onRepeat: () => void this.repeats++,
    });
    this.poolJournals = new PoolJournals({ ...common, journals, areNeeded, files, log });
    const queues = { ...common, journals: this.poolJournals, refiller };
    const parts = [this.dispenser];
    this.entries = new ServedEntries({ ...queues, own, changes, parts, onChange });
    const { entries } = this;
    this.pools = new ServedPools({ ...queues, entries, withoutInserts, changes, deadline, log });
    this.renewed = new RenewedPools({ ...queues, entries });
  }
}
