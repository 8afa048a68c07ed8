/**
 * The tokens of a running server: every HTTP thread acts on a change before the call that made it is
 * answered, so that no request that is begun after the answer is served by a revoked token. Runs in
 * the store thread; one change at a time, and no turn waits for a thread.
 */
import type { MessagePort } from 'node:worker_threads';
import type { NewToken, StoredToken, TokenStore } from '../store/store.ts';
import type { TokenList } from './calls.ts';
import { type Exclusively, inTurn } from './refill.ts';
import type { ThreadNotices } from './thread-notices.ts';

export class ServedTokens {
  readonly #store: TokenStore;
  readonly #exclusively: Exclusively;
  readonly #threads = new Set<ThreadNotices>();
  readonly #oneAtATime = inTurn();

  constructor(store: TokenStore, exclusively: Exclusively) {
    this.#store = store;
    this.#exclusively = exclusively;
  }

  /** For one more HTTP thread: as they are now; it is told of every change. */
  async connect(port: MessagePort, notices: ThreadNotices): Promise<TokenList> {
    this.#threads.add(notices);
    port.once('close', () => this.#threads.delete(notices));
    return this.#list();
  }

  all(): Promise<StoredToken[]> {
    return this.#exclusively(() => this.#store.all());
  }

  /** Error: TOKEN_EXISTS. */
  create(token: NewToken): Promise<StoredToken> {
    return this.#change(() => this.#store.create(token));
  }

  /** Errors: TOKEN_NOT_FOUND, STORE_FORGED. */
  revoke(name: string): Promise<StoredToken> {
    return this.#change(() => this.#store.revoke(name));
  }

  /** Errors: TOKEN_NOT_FOUND, STORE_FORGED. */
  restore(name: string): Promise<StoredToken> {
    return this.#change(() => this.#store.restore(name));
  }

  noteUse(ids: readonly number[]): Promise<void> {
    return this.#exclusively(() => this.#store.noteUse(ids));
  }

  #list(): Promise<TokenList> {
    return this.#exclusively(async () => ({
      tokens: (await this.#store.all()).filter(isValid),
      areAny: await this.#store.wereMade(),
    }));
  }

  #change(work: () => Promise<StoredToken>): Promise<StoredToken> {
    return this.#oneAtATime(async () => {
      const { changed, before, tokens } = await this.#exclusively(async () => {
        const before = await this.#store.all();
        const [changed] = await Promise.allSettled([work()]);
        return { changed, before, tokens: await this.#store.all() };
      });
      // A revocation may be in the store, and fail all the same: it is acted on before anybody knows.
      if (statesOf(tokens) !== statesOf(before)) {
        const list = await this.#list();
        await Promise.all([...this.#threads].map((thread) => thread.tell('tokens', { list })));
      }
      if (changed.status === 'rejected') throw changed.reason;
      return changed.value;
    });
  }
}

/** Whether requests with it are served, as far as it has not expired. */
function isValid({ revokedAt, offAt, isForged }: StoredToken): boolean {
  return revokedAt === undefined && offAt === undefined && !isForged;
}

function statesOf(tokens: readonly StoredToken[]): string {
  return tokens.map(({ id, revokedAt, offAt }) => `${id}:${revokedAt}:${offAt}`).join();
}
