/** What the calls of the client have in common: their options, their paths, and what a reply must have. */
import { VanitypoolError } from './error.ts';

export interface CallOptions {
  /** Ends the call, which then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Of a call whose reply comes in pieces. */
export interface StreamOptions extends CallOptions {
  /** How long to wait for the first piece, and then for each further one, in ms. */
  readonly silenceMs?: number | undefined;
}

export function poolPath(name: string): string {
  return `/v1/pools/${encodeURIComponent(name)}`;
}

/** The value of a key that the reply must have. */
export function part<T>(reply: unknown, key: string): T {
  return whole<Record<string, T>>(reply, key)[key]!;
}

/** The reply, which must have this key: or something else than vanitypool answered. */
export function whole<T>(reply: unknown, key: string): T {
  if (typeof reply === 'object' && reply !== null && key in reply) return reply as T;
  throw new VanitypoolError('REPLY_INVALID', `the reply has no ${key}`);
}
