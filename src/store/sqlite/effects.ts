/**
 * When a commit takes effect: what it lets leave (addresses, signatures, a reply that says so) may
 * leave when the anchor of the store has the name that the commit gave it, and the witness has its
 * number. Runs in the store thread.
 *
 *   1 transaction: a number that grows; with an effect, a new name for the anchor
 *   2 commit, on disk   3 rename, directory synced   4 witness, synced   5 it takes effect
 *
 * Ended before 3, the commit is there and nothing of it left; the next start finds the name before
 * and renames. An older database that is put back in that moment is one whose effects are all that
 * there are. Ended after 3, an older database records names that the anchor no longer has.
 *
 * While the anchor cannot be renamed (disk full, read-only) effects wait, and commits without one go
 * on. The database records two names of the anchor and no more: so a commit that finds an earlier
 * effect waiting gives no name, and an empty commit of its own does that once the anchor is renamed.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import {
  Anchor,
  anchorPath,
  FIRST_ANCHOR,
  newAnchorName,
  replaceAnchors,
} from '../../disk/anchor.ts';
import { formatIdentity, ownIdentityOf } from '../../disk/identity.ts';
import { placeName } from '../../disk/place.ts';
import { readWitness, Witness, witnessPath } from '../../disk/witness.ts';
import { prepareAll, transaction } from './database.ts';
import { changeError } from './error.ts';
import { recordedOf, type Standing } from './standing.ts';
import { Log } from './write-ahead-log.ts';

const SQL = {
  stamp: 'UPDATE meta SET number = number + 1, logged = ? RETURNING number',
  name: 'UPDATE meta SET anchor = ?, anchor_before = ?, anchor_file = ?, place = ?',
} as const;

export interface EffectsOptions {
  readonly db: DatabaseSync;
  readonly storeFile: string;
  readonly standing: Standing;
  /** The directory of witnesses, if there is one. */
  readonly witness: string | undefined;
  /** Called once, when the witness cannot be written; the store goes on without it. */
  readonly onNoWitness: ((reason: string) => void) | undefined;
}

export class Effects implements Disposable {
  /** As the store recorded it at its first start. */
  readonly place: string;
  readonly #statements: { readonly [name in keyof typeof SQL]: StatementSync };
  readonly #db: DatabaseSync;
  readonly #storeFile: string;
  readonly #log: Log;
  readonly #anchor: Anchor;
  readonly #anchorFile: string;
  readonly #witness: string | undefined;
  #onNoWitness: ((reason: string) => void) | undefined;
  #witnessFile: Witness | undefined;
  #isWitnessed: boolean;
  readonly #isFirst: boolean;
  /** Of the last commit, and of the last one that a complete checkpoint took into the database. */
  #number: number;
  #logged: number;
  /** What the anchor is to be called by what is committed; its own name when nothing waits. */
  #committed: string;
  /** A commit with an effect found an earlier one waiting, and so has no name of its own. */
  #isOwed = false;
  /** The three by the transaction that runs, which may be rolled back. */
  #stamped: { readonly number: number; readonly name: string; readonly isOwed: boolean };

  /** Finishes the rename of the last run, before anything else. Errors are the system's. */
  constructor({ db, storeFile, standing, witness, onNoWitness }: EffectsOptions) {
    const { anchor, isInFile } = standing;
    this.#statements = prepareAll(db, SQL);
    this.#db = db;
    this.#storeFile = storeFile;
    this.#log = new Log(db);
    const recorded = recordedOf(db, storeFile)!;
    this.#isFirst = recorded.anchor === null;
    if (anchor === undefined) replaceAnchors(storeFile, FIRST_ANCHOR);
    const name = anchor ?? FIRST_ANCHOR;
    this.#anchor = new Anchor(storeFile, name);
    this.#committed = recorded.anchor ?? name;
    this.#stamped = { number: recorded.number, name: this.#committed, isOwed: false };
    this.#anchorFile = formatIdentity(ownIdentityOf(anchorPath(storeFile, name)));
    this.place = recorded.place ?? standing.place;
    this.#number = recorded.number;
    this.#logged = isInFile ? recorded.number : recorded.logged;
    this.#isWitnessed = witness !== undefined;
    this.#onNoWitness = onNoWitness;
    this.#witness = witness && witnessPath(witness, recorded.storeId, placeName(this.place));
    if (!this.#isFirst) this.#lookForWitness();
    try {
      this.#anchor.rename(this.#committed);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Whether all that is committed has taken effect. */
  get areTaken(): boolean {
    return !this.#isOwed && this.#isNamed;
  }

  get #isNamed(): boolean {
    return this.#anchor.isSynced && this.#anchor.name === this.#committed;
  }

  /** In each transaction, once. `hasEffect`: something may leave for it. */
  stamp(hasEffect: boolean): void {
    const { stamp, name } = this.#statements;
    const number = Number(stamp.get(this.#logged)!.number);
    // The database records two names of the anchor: one rename is finished before the next.
    if (!hasEffect || !this.#isNamed) {
      this.#stamped = { number, name: this.#committed, isOwed: this.#isOwed || hasEffect };
      return;
    }
    this.#stamped = { number, name: newAnchorName(), isOwed: false };
    name.run(this.#stamped.name, this.#anchor.name, this.#anchorFile, this.place);
  }

  /** After the commit of a transaction that was stamped. */
  committed(): void {
    this.#number = this.#stamped.number;
    this.#committed = this.#stamped.name;
    this.#isOwed = this.#stamped.isOwed;
    if (this.#log.checkpointIfDue()) this.#logged = this.#number;
  }

  /**
   * After the first commit of a run. The first of all makes the database name its anchor also without
   * its log: a copy of the file alone is never that of a store which was not opened yet.
   */
  begun(): void {
    this.committed();
    if (this.#isFirst) this.checkpointLog();
    this.take();
  }

  get isLogLong(): boolean {
    return this.#log.isLong;
  }

  /** What of it cannot be taken into the database now is tried again with the next. */
  checkpointLog(): void {
    if (this.#log.checkpoint()) this.#logged = this.#number;
  }

  /** Returns whether what stood in the log before is out of it. */
  truncateLog(): boolean {
    const isTruncated = this.#log.truncate();
    if (isTruncated) this.#logged = this.#number;
    return isTruncated;
  }

  /**
   * Lets all that is committed take effect; it has when this returns. Errors: DISK_FULL,
   * DATA_NOT_WRITABLE, STORE_UNAVAILABLE, those of SQLite; then it may be tried again.
   */
  take(): void {
    if (this.areTaken) return;
    this.#rename();
    if (this.#isOwed) {
      transaction(this.#db, () => this.stamp(true));
      this.committed();
      this.#rename();
    }
    this.#writeWitness();
  }

  #rename(): void {
    try {
      this.#anchor.rename(this.#committed);
    } catch (cause) {
      throw changeError(cause, anchorPath(this.#storeFile, this.#anchor.name));
    }
  }

  [Symbol.dispose](): void {
    this.#witnessFile?.[Symbol.dispose]();
    this.#anchor[Symbol.dispose]();
  }

  /** A new one knows nothing of the runs before this one. */
  #lookForWitness(): void {
    if (this.#witness === undefined || readWitness(this.#witness) !== undefined) return;
    this.#report(`${this.#witness}: is missing or cannot be read, and is recreated`);
  }

  /** Once. */
  #report(reason: string): void {
    this.#onNoWitness?.(reason);
    this.#onNoWitness = undefined;
  }

  #writeWitness(): void {
    if (!this.#isWitnessed) return;
    try {
      this.#witnessFile ??= new Witness(this.#witness!);
      this.#witnessFile.write({ number: this.#number, isMoved: false });
    } catch (error) {
      this.#isWitnessed = false;
      this.#report(`${this.#witness}: ${(error as Error).message}`);
    }
  }
}
