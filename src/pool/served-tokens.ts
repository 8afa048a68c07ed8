/**
 * The tokens of a running server: every HTTP thread is told of a change before the call that made
 * it is answered, so that a revoked token is refused at once. Runs in the store thread.
 */
import type { MessagePort } from 'node:worker_threads';
import { notify } from '../port.ts';
import type { NewToken, StoredToken, TokenStore } from '../store/store.ts';
import type { StoreNotices, TokenList } from './pool.ts';
import type { Exclusively } from './refill.ts';

export class ServedTokens {
  readonly #store: TokenStore;
  readonly #exclusively: Exclusively;
  readonly #ports = new Set<MessagePort>();

  constructor(store: TokenStore, exclusively: Exclusively) {
    this.#store = store;
    this.#exclusively = exclusively;
  }

  /** As they are now; every change is told on the port. */
  async follow(port: MessagePort): Promise<TokenList> {
    this.#ports.add(port);
    port.on('close', () => this.#ports.delete(port));
    return listOf(await this.all());
  }

  all(): Promise<StoredToken[]> {
    return this.#exclusively(() => this.#store.all());
  }

  /** Error: TOKEN_EXISTS. */
  create(token: NewToken): Promise<StoredToken> {
    return this.#change(() => this.#store.create(token));
  }

  /** Error: TOKEN_NOT_FOUND. */
  revoke(name: string): Promise<StoredToken> {
    return this.#change(() => this.#store.revoke(name));
  }

  noteUse(ids: readonly number[]): Promise<void> {
    return this.#exclusively(() => this.#store.noteUse(ids, Date.now()));
  }

  #change(work: () => Promise<StoredToken>): Promise<StoredToken> {
    return this.#exclusively(async () => {
      const changed = await work();
      const list = listOf(await this.#store.all());
      for (const port of this.#ports) notify<StoreNotices, 'tokens'>(port, 'tokens', list);
      return changed;
    });
  }
}

function listOf(tokens: readonly StoredToken[]): TokenList {
  const known = tokens.filter(({ revokedAt }) => revokedAt === undefined);
  return { tokens: known, areAny: tokens.length > 0 };
}
