/**
 * One transaction on a session. It has three ends: it is committed, it is not, or nobody knows
 * (CommitUnknown). The server confirms it with COMMIT, and a COMMIT of one that failed with ROLLBACK.
 * With a warning before it COMMIT confirms nothing: a wait for a standby was ended (measured). Runs in the
 * thread that calls it.
 */
import { CommitUnknown, ConnectionLost, ServerError } from './error.ts';
import type { Answer, Session } from './session.ts';

/** Statements after one that failed have this code; the reason is that of the first. */
const IN_FAILED_TRANSACTION = '25P02';

/** A client that stands still in a transaction holds locks that others wait for. */
const IDLE_MS = 5000;

export interface Transaction {
  /**
   * As of Session. A statement may be asked for before the one before it is answered; if that fails, it is
   * not carried out. Those that are not awaited are answered when the transaction is committed.
   */
  readonly query: Query;
}

/** Needs no object before it. */
export type Query = <R extends object>(
  text: string,
  values?: readonly unknown[],
) => Promise<Answer<R>>;

/** Nothing here is worth compiling, but an estimate that is far too high has a server do it for each statement. */
const ALWAYS = `set_config('idle_in_transaction_session_timeout', '${IDLE_MS}', true),
    set_config('jit', 'off', true)`;

/** One moment is read, and nothing written. */
const READING = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT ${ALWAYS}`;

/**
 * Waits for locks at most `lockMs`. The commit is durable, and on the synchronous standbys if there are any,
 * whatever the server's own setting is; one that waits for more is left.
 */
function beginning(lockMs: number): string {
  return `BEGIN ISOLATION LEVEL READ COMMITTED; SELECT ${ALWAYS},
    set_config('lock_timeout', '${lockMs}', true),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit')
      WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true)`;
}

/** What was asked for together; of those that fail the first one, also if another is answered before. */
export async function answers<T extends readonly unknown[] | []>(
  asked: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(asked);
  for (const one of asked) await one;
  return Promise.all(asked);
}

/**
 * Runs `work` in a transaction, rolled back if it throws. Errors: CommitUnknown, after which the session is
 * closed; those of statements; that of `work`.
 */
export async function inTransaction<T>(
  session: Session,
  work: (transaction: Transaction) => Promise<T>,
  lockMs: number,
): Promise<T> {
  // Awaited: if this failed, what was sent along would be carried out without a transaction.
  await session.query(beginning(lockMs));
  const transaction = new OpenTransaction(session);
  let result: T;
  try {
    result = await work(transaction);
  } catch (error) {
    transaction.end();
    await rollBack(session);
    throw transaction.reasonFor(error);
  }
  transaction.end();
  await commit(session, transaction);
  return result;
}

/**
 * Runs `work` in a transaction that cannot change anything: it ends without a commit, of which nobody would have
 * to know. Errors: those of statements; that of `work`.
 */
export async function reading<T>(
  session: Session,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  await session.query(READING);
  const transaction = new OpenTransaction(session);
  try {
    return await work(transaction);
  } catch (error) {
    throw transaction.reasonFor(error);
  } finally {
    transaction.end();
    await rollBack(session);
  }
}

class OpenTransaction implements Transaction {
  readonly #session: Session;
  #isOpen = true;
  /** Of the first statement that failed. */
  #failure: unknown;

  constructor(session: Session) {
    this.#session = session;
  }

  readonly query: Query = <R extends object>(text: string, values?: readonly unknown[]) => {
    // It would be carried out by itself.
    if (!this.#isOpen) throw new RangeError('the transaction is over');
    const answer = this.#session.query<R>(text, values);
    // Also of one that nobody awaits.
    answer.catch((error) => {
      this.#failure ??= error;
    });
    return answer;
  };

  end(): void {
    this.#isOpen = false;
  }

  /** `error` may only say that another came before. */
  reasonFor(error: unknown): unknown {
    const isLater = error instanceof ServerError && error.code === IN_FAILED_TRANSACTION;
    return isLater ? (this.#failure ?? error) : error;
  }
}

async function rollBack(session: Session): Promise<void> {
  try {
    await session.query('ROLLBACK');
  } catch {
    session.destroy(new ConnectionLost('no answer to ROLLBACK'));
  }
}

async function commit(session: Session, transaction: OpenTransaction): Promise<void> {
  session.warning = undefined;
  const said = await session.query('COMMIT').then(
    ({ command }) => session.warning ?? command,
    (error) => (error as Error).message,
  );
  if (said === 'COMMIT') return;
  if (said === 'ROLLBACK') {
    throw transaction.reasonFor(new ServerError(IN_FAILED_TRANSACTION, 'rolled back'));
  }
  session.destroy(new ConnectionLost('a commit without an answer'));
  throw new CommitUnknown(said);
}
