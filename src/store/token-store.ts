/** What the store keeps of tokens: never their text, and for ever that they were. */
import type { KnownToken } from '../token.ts';

/** A UTC day has no leap second here, as in `Date`. */
export const DAY_MS = 86_400_000;

export type NewToken = Omit<KnownToken, 'id'>;

export interface StoredToken extends KnownToken {
  /** Milliseconds since 1970, as the others. */
  readonly createdAt: number;
  readonly revokedAt: number | undefined;
  /** Off until `restore`: the store was made out of a backup then, and may lack a revocation. */
  readonly offAt: number | undefined;
  /** Somebody else wrote the row: it is no token, whatever it says. */
  readonly isForged: boolean;
  /** Exact to some seconds. */
  readonly lastUsedAt: number | undefined;
}

export interface TokenStore {
  /** Revoked, expired and forged ones, too. */
  all(): Promise<StoredToken[]>;
  /** The one of this name, whatever became of it. */
  find(name: string): Promise<StoredToken | undefined>;
  /** Whether any was ever made, also if its row is gone. Error: STORE_FORGED. */
  wereMade(): Promise<boolean>;
  /** Errors: TOKEN_EXISTS, STORE_FORGED. */
  create(token: NewToken): Promise<StoredToken>;
  /** Once revoked it stays that. Errors: TOKEN_NOT_FOUND, STORE_FORGED. */
  revoke(name: string): Promise<StoredToken>;
  /** Switches one on that is off since a restore. Errors: TOKEN_NOT_FOUND, STORE_FORGED. */
  restore(name: string): Promise<StoredToken>;
  noteUse(ids: readonly number[]): Promise<void>;
  /** Addresses handed out to the token in that UTC day, counted from 1970, as far as turns recorded it. */
  used(id: number, day: number): Promise<number>;
}
