/**
 * The audit of a store that this connection only reads, beside a server or without one: what it says of
 * its addresses, page by page, and of itself. Runs in the thread that calls it.
 */
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { triedAgain, triedAgainLater } from '../../disk/reads.ts';
import { VanityError } from '../../errors.ts';
import { publicKeyHash, Unsealer } from '../../keypair/seal.ts';
import type { SealingKey } from '../../keypair/sealing-key.ts';
import { findSealingKey, isKey, keyToRead } from '../../keypair/sealing-key-files.ts';
import {
  type AuditedStore,
  type AuditedToken,
  type AuditPage,
  type AuditQuery,
  auditedStore,
  type FoundAddress,
  type StoreReader,
  type Taken,
} from '../audit-store.ts';
import type { StoreNodes } from '../node-store.ts';
import { auditedToken, takenBy } from '../token-rows.ts';
import { AuditBook, SQL } from './audit.ts';
import { BoundRows } from './bound-rows.ts';
import { judgedInUse } from './check-runner.ts';
import { storeFileOf } from './data-directory.ts';
import { isNewest, openToRead } from './database.ts';
import { decided, type Moment, mayPass, storeError } from './error.ts';
import { metaOf, poolRows, prepareStatements, type Statements } from './statements.ts';
import { TakenSince } from './taken.ts';

export class AuditReader implements StoreReader {
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #statements: Statements;
  readonly #book: AuditBook;
  readonly #rows: BoundRows;
  readonly #taken: TakenSince;
  readonly #key: SealingKey;

  private constructor(db: DatabaseSync, path: string, key: SealingKey) {
    this.#db = db;
    this.#path = path;
    this.#key = key;
    this.#statements = prepareStatements(db);
    const { store_id: storeId, binding } = metaOf(this.#statements);
    // Without one nothing in it is right.
    const bound = binding ?? '';
    this.#book = new AuditBook(db, new Unsealer(storeId, bound, key));
    this.#rows = new BoundRows(db, key.rowKey(storeId, bound));
    this.#taken = new TakenSince(db);
  }

  /**
   * Errors: STORE_NOT_FOUND, STORE_FOREIGN, STORE_NEWER, STORE_LOCKED, STORE_CORRUPT,
   * STORE_UNAVAILABLE, SEALING_KEY_INVALID.
   */
  static async open(directory: string, sealingKey: string): Promise<AuditReader> {
    const path = storeFileOf(directory);
    try {
      const recorded = read(path, 'opening', () => {
        using db = openToRead(path);
        return metaOf(prepareStatements(db)).sealing_key;
      });
      const { key } = await findSealingKey(sealingKey, recorded);
      return read(path, 'opening', () => {
        using resources = new DisposableStack();
        const db = resources.use(openToRead(path));
        const { sealing_key } = metaOf(prepareStatements(db));
        const itsKey = keyToRead(sealingKey, key, sealing_key);
        const reader = new AuditReader(db, path, itsKey);
        resources.move();
        return reader;
      });
    } catch (error) {
      throw await judgedInUse(error, path);
    }
  }

  async isCurrent(): Promise<boolean> {
    return read(this.#path, 'running', () => {
      const { sealing_key } = metaOf(this.#statements);
      return sealing_key === null || isKey(this.#key, sealing_key);
    });
  }

  async #assertCurrent(): Promise<void> {
    if (await this.isCurrent()) return;
    const detail = 'the sealing key was rotated meanwhile; ask again';
    throw new VanityError('STORE_UNAVAILABLE', detail, { retryAfterSeconds: 1 });
  }

  /** Errors may be in doubt. */
  async store(): Promise<AuditedStore> {
    return read(this.#path, 'running', () => {
      const { store_id: storeId, epoch } = metaOf(this.#statements);
      return auditedStore({ storeId, epoch }, poolRows(this.#statements));
    });
  }

  async gap(): Promise<string | undefined> {
    const { leased } = await this.store();
    return leased > 0
      ? `${dirname(this.#path)}: ${leased} leased addresses cannot be settled`
      : undefined;
  }

  /** No error is in doubt. */
  async page(query: AuditQuery): Promise<AuditPage> {
    const look = () =>
      this.#book.page(query).catch((cause: unknown) => {
        throw storeError(cause, this.#path, 'running');
      });
    try {
      const page = await triedAgainLater(look, mayPass);
      await this.#assertCurrent();
      return page;
    } catch (error) {
      throw await judgedInUse(error, this.#path);
    }
  }

  async tokens(): Promise<AuditedToken[]> {
    await this.#assertCurrent();
    return read(this.#path, 'running', () => {
      const rows = this.#db.prepare(SQL.tokens).all();
      const right = rows.filter((row) => this.#rows.isRight('token', row));
      return right.map(auditedToken);
    });
  }

  async nodes(): Promise<StoreNodes> {
    return { state: 'sound', nodes: [] };
  }

  async find(publicKey: Uint8Array): Promise<FoundAddress | undefined> {
    return read(this.#path, 'running', () => this.#book.find(publicKeyHash(publicKey)));
  }

  async taken(since: number): Promise<Taken[]> {
    const tokens = await this.tokens();
    return takenBy(
      read(this.#path, 'running', () => this.#taken.read(since)),
      tokens,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#db.close();
  }
}

/** Beside other connections of this process: what is in doubt stays so. */
function read<T>(path: string, moment: Moment, look: () => T): T {
  return triedAgain(() => {
    try {
      return look();
    } catch (cause) {
      throw storeError(cause, path, moment);
    }
  }, mayPass);
}

/**
 * Whether the last run was one of this version, and said all that it had to say. This process has no
 * other connection to the store. Errors: those of opening a store to read.
 */
export function isSettled(directory: string): boolean {
  const path = storeFileOf(directory);
  return decided(path, 'opening', () => {
    using db = openToRead(path);
    if (!isNewest(db, path)) return false;
    // A start that was cut off, or refused, may have left its rows without what they are known by.
    const open = db.prepare(`SELECT 1 FROM pools WHERE leased > 0
      UNION ALL SELECT 1 FROM journals UNION ALL SELECT 1 FROM meta WHERE mac IS NULL LIMIT 1`);
    return open.get() === undefined;
  });
}
