/**
 * The tokens of a running server: every HTTP thread acts on a change before the call that made it is
 * answered, so that no request that is begun after the answer is served by a revoked token. Runs in
 * the store thread; one change at a time, and no turn waits for a thread.
 *
 * A thread starts with the list of all tokens. Each change sends it one token, in its new state. So a
 * change costs the same however many tokens there are, and a token that the list already has changes
 * nothing.
 */
import type { MessagePort } from 'node:worker_threads';
import type { VanityError } from '../errors.ts';
import type { TokenList } from '../pool/calls.ts';
import type { Store } from '../store/store.ts';
import type { NewToken, StoredToken, TokenStore } from '../store/token-store.ts';
import type { KnownToken } from '../token.ts';
import { type Exclusively, inTurn } from './in-turn.ts';
import type { ThreadNotices } from './thread-notices.ts';

export class ServedTokens {
  readonly #store: TokenStore;
  readonly #everywhere: () => Promise<void>;
  readonly #exclusively: Exclusively;
  /** What all threads know of each token, by id: what others changed is found by it. */
  readonly #told = new Map<number, string>();
  readonly #threads = new Set<ThreadNotices>();
  readonly #oneAtATime = inTurn();

  constructor(store: Pick<Store, 'tokens' | 'everywhere'>, exclusively: Exclusively) {
    this.#store = store.tokens;
    this.#everywhere = () => store.everywhere();
    this.#exclusively = exclusively;
  }

  /** For one more HTTP thread: the tokens as they are now; every later change is sent to it. */
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
    return this.#change(token.name, () => this.#store.create(token));
  }

  /** Errors: TOKEN_NOT_FOUND, STORE_FORGED. */
  revoke(name: string): Promise<StoredToken> {
    return this.#change(name, () => this.#store.revoke(name));
  }

  /** Errors: TOKEN_NOT_FOUND, STORE_FORGED. */
  restore(name: string): Promise<StoredToken> {
    return this.#change(name, () => this.#store.restore(name));
  }

  /** After others changed tokens of the store. Errors: those of the store. */
  refresh(): Promise<void> {
    return this.#oneAtATime(async () => {
      const tokens = await this.#exclusively(() => this.#store.all());
      for (const token of tokens)
        if (this.#told.get(token.id) !== stateOf(token)) await this.#tell(token);
    });
  }

  noteUse(ids: readonly number[]): Promise<void> {
    return this.#exclusively(() => this.#store.noteUse(ids));
  }

  #list(): Promise<TokenList> {
    return this.#exclusively(async () => {
      const tokens = await this.#store.all();
      // Of the first thread alone: those before a later one may know less than its list says.
      if (this.#threads.size === 1)
        for (const token of tokens) this.#told.set(token.id, stateOf(token));
      const areAny = await this.#store.wereMade();
      return { tokens: tokens.filter(isValid).map(known), areAny };
    });
  }

  async #tell(token: StoredToken): Promise<void> {
    const change = { token: known(token), isValid: isValid(token) };
    await Promise.all([...this.#threads].map((thread) => thread.tell('token', change)));
    this.#told.set(token.id, stateOf(token));
  }

  async #change(name: string, work: () => Promise<StoredToken>): Promise<StoredToken> {
    const { changed, now } = await this.#oneAtATime(async () => {
      const done = await this.#exclusively(async () => {
        const [changed] = await Promise.allSettled([work()]);
        if (changed.status === 'fulfilled') return { changed, now: changed.value };
        // A revocation may be in the store, and fail all the same: it is acted on before anybody knows.
        return {
          changed,
          now: isRefused(changed.reason) ? undefined : await this.#store.find(name),
        };
      });
      if (done.now !== undefined) await this.#tell(done.now);
      return done;
    });
    // Not in its turn: the others may wait until this run acts on a change of theirs.
    if (now !== undefined) await this.#everywhere();
    if (changed.status === 'rejected') throw changed.reason;
    return changed.value;
  }
}

/** Whether the token of that name was not to be changed, and is as it was. */
function isRefused(error: unknown): boolean {
  const { code } = error as VanityError;
  return code === 'TOKEN_EXISTS' || code === 'STORE_FORGED';
}

/** What a thread needs of it, and no more. */
function known({ id, name, hash, scopes, pools, quota, expiresAt }: StoredToken): KnownToken {
  return { id, name, hash, scopes, pools, quota, expiresAt };
}

/** All that a thread is sent of it, to be compared. */
function stateOf(token: StoredToken): string {
  const { hash, ...rest } = known(token);
  return JSON.stringify([rest, Buffer.from(hash).toString('base64'), isValid(token)]);
}

/** Whether requests with it are served, as far as it has not expired. */
function isValid({ revokedAt, offAt, isForged }: StoredToken): boolean {
  return revokedAt === undefined && offAt === undefined && !isForged;
}
