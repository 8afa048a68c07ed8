/** What the calls of the client have in common: their options, their paths, and what a reply must have. */
import { VanitypoolError } from './error.ts';

const KEY_BYTES = 16;

export interface CallOptions {
  /** Ends the call, which then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Of a call whose reply comes in pieces. */
export interface StreamOptions extends CallOptions {
  /** How long to wait for the first piece, and then for each further one, in ms. */
  readonly silenceMs?: number | undefined;
}

/** Whether a header can hold it as a token. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

/** Whether the server takes it: 1 to 255 printable ASCII characters. */
export function isIdempotencyKey(text: string): boolean {
  return /^[\x20-\x7e]{1,255}$/.test(text);
}

/** An idempotency key that nobody else has: 128 random bits. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
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
