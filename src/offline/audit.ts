/**
 * The store of a data directory, listed by a command while a server holds it or not. Runs in the main
 * thread.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { witnessDirectory } from '../disk/witness.ts';
import { VanityError } from '../errors.ts';
import { Journals } from '../pool/journals.ts';
import type {
  AuditedAddress,
  AuditedStore,
  AuditedToken,
  FoundAddress,
  StoreReader,
} from '../store/audit-store.ts';
import { openReader } from '../store/open-store.ts';
import { isSettled } from '../store/sqlite/audit-reader.ts';
import { holdDataDirectory } from '../store/sqlite/data-directory.ts';
import { assertStanding } from '../store/sqlite/standing.ts';
import { assertOwner, directoryOf, openWith } from './open.ts';

/** Looked at by one step of a listing: some tens of milliseconds, then signals are heard. */
const AUDIT_PAGE = 2048;

export interface AuditFilter {
  readonly pool?: string | undefined;
  /** Milliseconds since 1970, included. */
  readonly since?: number | undefined;
}

/**
 * A store to be listed. A data directory that no server holds is held until this is disposed of, so
 * that nothing leaves; what a crash left leased is settled first, as a start does. A database is only read.
 */
export class OfflineAudit implements AsyncDisposable {
  /** Why addresses that the list lacks may have left, or leave later; undefined if none can. */
  readonly gap: string | undefined;
  readonly #reader: StoreReader;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    gap: string | undefined,
    reader: StoreReader,
    resources: AsyncDisposableStack,
  ) {
    this.gap = gap;
    this.#reader = reader;
    this.#resources = resources;
  }

  /** Errors: those of opening a store to read, and SEALING_KEY_INVALID. */
  static async open(config: Config): Promise<OfflineAudit> {
    await using resources = new AsyncDisposableStack();
    let gap: string | undefined;
    try {
      if (config.store.directory !== undefined) resources.use(await holdSettled(config));
    } catch (error) {
      // What can be read at all is listed all the same.
      if (!(error instanceof VanityError)) throw error;
      gap = error.message;
    }
    const reader = resources.use(await openReader(config.store));
    gap ??= await reader.gap();
    return new OfflineAudit(gap, reader, resources.move());
  }

  store(): Promise<AuditedStore> {
    return this.#reader.store();
  }

  /** By id. Errors: STORE_LOCKED, STORE_CORRUPT, STORE_UNAVAILABLE; the reason of `signal`. */
  async *pages(
    filter: AuditFilter,
    signal: AbortSignal,
  ): AsyncGenerator<readonly AuditedAddress[]> {
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page = await this.#reader.page({ after, limit: AUDIT_PAGE, ...filter });
      yield page.addresses;
      after = page.next;
      await nextTurn();
      signal.throwIfAborted();
    }
  }

  tokens(): Promise<AuditedToken[]> {
    return this.#reader.tokens();
  }

  /** By its public key, 32 bytes. */
  find(publicKey: Uint8Array): Promise<FoundAddress | undefined> {
    return this.#reader.find(publicKey);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** Errors: those of opening a store; of damage only if the directory cannot be held. */
async function holdSettled(config: Config): Promise<Disposable | AsyncDisposable> {
  const { data } = config.store;
  const directory = directoryOf(config.store);
  assertOwner(config.store);
  if (isSettled(directory)) return holdInPlace(directory);
  using journals = new Journals({ dataDirectory: data });
  try {
    const store = await openWith(journals, config.store);
    journals.remove();
    return store;
  } catch (error) {
    // After a clean stop nothing is left to settle but a note of journals that are gone.
    if ((error as { code?: unknown }).code !== 'STORE_CORRUPT') throw error;
    return holdInPlace(directory);
  }
}

/** Errors: DATA_MOVED, and where a file cannot be opened for writing. */
function holdInPlace(directory: string): Disposable {
  const held = holdDataDirectory(directory, false);
  try {
    const witness = witnessDirectory(directory);
    const descriptor = held.storeLock?.file;
    assertStanding(held.storeFile, { copies: 'unguarded', witness, descriptor });
    return held;
  } catch (error) {
    held[Symbol.dispose]();
    throw error;
  }
}
