/**
 * A store that was copied, moved or put back, taken for what its owner says it is. Runs in the
 * thread that calls it, while nobody else holds the data directory.
 *
 *   moved      it is the only one. What the last run left leased is settled by the journals that the
 *              old place has in memory. The old place is kept from being served again: by its anchor
 *              where it is named, by its witness where there is one
 *   restored   others may have served since: all that may still leave is burned, tokens are off, and
 *              what was dispensed signs no more
 *
 * The old place is closed last, inside the transaction that makes this one the store: what is refused
 * has changed nothing there, and what is cut off leaves one or neither of them to be served. It can
 * be done again.
 */
import { realpathSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import {
  Anchor,
  anchorNames,
  anchorPath,
  FIRST_ANCHOR,
  isRetired,
  newAnchorName,
  replaceAnchors,
  retireAnchor,
  retiredAnchor,
} from '../../disk/anchor.ts';
import {
  type FileIdentity,
  formatIdentity,
  isSameFile,
  ownIdentityOf,
  parseIdentity,
} from '../../disk/identity.ts';
import { placeName } from '../../disk/place.ts';
import { readWitness, replaceIfPossible, witnessPath } from '../../disk/witness.ts';
import { VanityError } from '../../errors.ts';
import { OwnClock, type Time } from '../own-clock.ts';
import type { Recover } from '../recovery.ts';
import { type BoundRows, bindingOf } from './bound-rows.ts';
import { checkMixed, judged } from './check.ts';
import { type DataDirectory, holdDataDirectory } from './data-directory.ts';
import { openDatabase, transaction } from './database.ts';
import { settleLast } from './epoch.ts';
import { storeError } from './error.ts';
import { HandOutBook } from './hand-out-book.ts';
import { assertHere } from './moved.ts';
import { assertClock, burnAll, distrust, skipAhead, takePlace, tokensOff } from './place.ts';
import { sealingKeyOf } from './sealing.ts';
import { Segments } from './segments.ts';
import { BACKUP, isBackup, mixOf, numberInFile, type Recorded, recordedIn } from './standing.ts';
import { prepareStatements, savedTime } from './statements.ts';

export type Adoption = 'moved' | 'restored';

export interface AdoptOptions {
  readonly directory: string;
  /** 'file:PATH' or 'env:NAME'. */
  readonly sealingKey: string;
  readonly as: Adoption;
  /** Of a moved store, the directory where it was, if that is still there. */
  readonly from?: string | undefined;
  /** The directory of witnesses, if there is one. */
  readonly witness?: string | undefined;
  /** Reads the journals of the last epoch; without it what it left leased is burned. */
  readonly recover?: Recover | undefined;
  /** Of one that is restored: also by a clock that is behind the store. */
  readonly ignoreClock?: boolean | undefined;
  /** The system's if not given. */
  readonly time?: Time;
  /** Called with the tokens and pools of an older version's store, which are taken as they are. */
  readonly onBound?: (rows: readonly string[]) => void;
}

export interface Adopted {
  readonly storeId: string;
  /** As of `Store.place`, before and after. */
  readonly oldPlace: string | undefined;
  readonly place: string;
  /** How many addresses, by pool. */
  readonly burned: Readonly<Record<string, number>>;
  /** The names of tokens that are off until they are switched on. */
  readonly tokensOff: readonly string[];
}

/**
 * Errors: those of opening a store to serve it, DATA_MOVED for one that cannot be what it is said to be, and for
 * a backup; of `from`, DATA_IN_USE, STORE_NOT_FOUND, CONFIG_INVALID.
 */
export async function adoptStore(options: AdoptOptions): Promise<Adopted> {
  const { directory, as, from, witness } = options;
  using resources = new DisposableStack();
  const { storeFile, storeLock } = resources.use(holdDataDirectory(directory, false));
  try {
    const recorded = recordedIn(storeFile, 'with-log');
    if (recorded === undefined) {
      throw new VanityError('STORE_NOT_FOUND', `${directory}: there is no store in this directory`);
    }
    if (recorded.anchor === BACKUP) throw isBackup(storeFile);
    assertHere(storeFile, recorded.anchor);
    const fileNumber = numberInFile(storeFile);
    const mixed = mixOf(recorded, fileNumber);
    const old = oldPlaceOf(recorded, witness);
    const found = ownIdentityOf(storeFile, storeLock?.file);
    const place = placeName(formatIdentity(found));
    const isElsewhere = as === 'moved' && old.name !== place;
    const original =
      isElsewhere && from !== undefined
        ? resources.use(originalIn(from, { directory, recorded, place }))
        : undefined;
    if (as === 'moved') assertNewest(storeFile, recorded, mixed ?? old.isPassed(recorded));
    else if (mixed !== undefined) checkMixed(storeFile);
    using db = openDatabase(storeFile);
    const clock = new OwnClock(savedTime(prepareStatements(db)), options.time);
    if (as === 'restored') assertClock(db, clock.now, options.ignoreClock);
    const { rows, apply } = await bindingOf(db, await sealingKeyOf(db, options.sealingKey));
    using anchor = new Anchor(storeFile, anchorFor(storeFile, as));
    const name = newAnchorName();
    const { burned, number, bound } = transaction(db, () => {
      const bound = apply();
      const given =
        as === 'moved' ? settled(db, options.recover, clock) : givenUp(db, rows, clock.now);
      takePlace(db, found);
      const above = Math.max(recorded.logged, fileNumber, old.number);
      const next = nameAnchor(db, storeFile, { name, before: anchor.name, above });
      // All that may refuse has had its say: from here on the old place is closed.
      original?.retire();
      if (isElsewhere) old.markAsMoved(recorded);
      return { burned: given, number: next, bound };
    });
    anchor.rename(name);
    if (bound.length > 0) options.onBound?.(bound);
    if (witness !== undefined) {
      const path = witnessPath(witness, recorded.storeId, place);
      replaceIfPossible(path, { number, isMoved: false });
    }
    const { storeId } = recorded;
    return { storeId, oldPlace: old.name, place, burned, tokensOff: tokensOff(db) };
  } catch (cause) {
    throw judged(storeError(cause, storeFile, 'opening'), storeFile);
  }
}

/** Where the store was when it was last served, and what the witness of that place says. */
function oldPlaceOf({ storeId, place }: Recorded, directory: string | undefined) {
  const name = place === null ? undefined : placeName(place);
  const path = directory && name && witnessPath(directory, storeId, name);
  const said = path === undefined ? undefined : readWitness(path);
  return {
    name,
    number: said?.number ?? 0,
    /** Why the store is not the newest. */
    isPassed: ({ number }: Recorded) =>
      said !== undefined && said.number > number
        ? `something has left it since (witness: ${path})`
        : undefined,
    markAsMoved: ({ number }: Recorded) => {
      if (path !== undefined) replaceIfPossible(path, { number, isMoved: true });
    },
  };
}

/** Of a store that is said to be moved: what an older state, put back, would show. */
function assertNewest(
  storeFile: string,
  { anchor, before }: Recorded,
  found: string | undefined,
): void {
  const known = [anchor, before, FIRST_ANCHOR];
  const others = anchorNames(storeFile).filter((name) => anchor !== null && !known.includes(name));
  const reason =
    found ?? (others.length > 0 ? 'it is an older state of the store, put back' : undefined);
  if (reason === undefined) return;
  const message =
    `${storeFile}: not just moved: ${reason}. Addresses may have left it since: ` +
    'vanitypool adopt --restored (burns what was available)';
  throw new VanityError('DATA_MOVED', message);
}

interface Original extends Disposable {
  /** It is served no more. Errors are the system's. */
  retire(): void;
}

/** The directory that a store was moved from, held. Errors: see `adoptStore`. */
function originalIn(
  from: string,
  { directory, recorded, place }: { directory: string; recorded: Recorded; place: string },
): Original {
  if (realpath(from) === realpath(directory)) {
    const message = `--from ${from}: this is the directory itself; name the one where the store was`;
    throw new VanityError('CONFIG_INVALID', message);
  }
  const held = holdDataDirectory(from, false);
  try {
    assertOriginal(held, recorded);
    assertNotMoved(held.storeFile, place);
  } catch (error) {
    held[Symbol.dispose]();
    throw error;
  }
  return {
    retire: () => retireAnchor(held.storeFile, place),
    [Symbol.dispose]: () => held[Symbol.dispose](),
  };
}

function assertOriginal(
  { storeFile, storeLock }: DataDirectory,
  { storeId, place, number }: Recorded,
): void {
  const original = recordedIn(storeFile, 'with-log');
  const found = ownIdentityOf(storeFile, storeLock?.file);
  const isIt = original?.storeId === storeId && place !== null && isAt(place, found);
  if (!isIt) {
    const message = `--from ${storeFile}: not the store that this one was moved from`;
    throw new VanityError('CONFIG_INVALID', message);
  }
  if (original.number <= number) return;
  const message =
    `--from ${storeFile}: it was served after this copy was made, and is the newer one. Go on ` +
    'with it, or take this for a copy: vanitypool adopt --restored (burns what was available)';
  throw new VanityError('DATA_MOVED', message);
}

function isAt(place: string, found: FileIdentity): boolean {
  const recorded = parseIdentity(place);
  return recorded !== undefined && isSameFile(recorded, found);
}

/** Of two copies one alone can be the store that was moved. */
function assertNotMoved(storeFile: string, place: string): void {
  const other = anchorNames(storeFile).find(
    (name) => isRetired(name) && name !== retiredAnchor(place),
  );
  if (other === undefined) return;
  const message =
    `--from ${storeFile}: it was moved to another place before. If this is one more copy: ` +
    'vanitypool adopt --restored (burns what was available)';
  throw new VanityError('DATA_MOVED', message);
}

function realpath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function settled(
  db: DatabaseSync,
  recover: Recover | undefined,
  clock: OwnClock,
): Record<string, number> {
  const statements = prepareStatements(db);
  const books = { statements, segments: new Segments(db), handOuts: new HandOutBook(db) };
  const recovered = Object.entries(settleLast(books, recover, clock));
  return Object.fromEntries(recovered.map(([pool, { burned }]) => [pool, burned]));
}

function givenUp(db: DatabaseSync, rows: BoundRows, now: number): Record<string, number> {
  skipAhead(db, rows, now);
  const burned = burnAll(db, now);
  distrust(db, rows, now);
  return burned;
}

/** The anchor that is there, if it is the only one that a moved store brought along; else a new one. */
function anchorFor(storeFile: string, as: Adoption): string {
  const [name, ...more] = anchorNames(storeFile);
  if (as === 'moved' && name !== undefined && more.length === 0) return name;
  replaceAnchors(storeFile, FIRST_ANCHOR);
  return FIRST_ANCHOR;
}

/** The number that the store goes on with, above all that it was known by. */
function nameAnchor(
  db: DatabaseSync,
  storeFile: string,
  { name, before, above }: { name: string; before: string; above: number },
): number {
  const file = formatIdentity(ownIdentityOf(anchorPath(storeFile, before)));
  const row = db
    .prepare(
      `UPDATE meta SET anchor = ?, anchor_before = ?, anchor_file = ?,
        number = max(number, ?) + 1 RETURNING number`,
    )
    .get(name, before, file, above);
  return Number(row!.number);
}
