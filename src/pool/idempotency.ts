/**
 * What makes a repeated request the same one, and what it gets: the same for a running server and
 * for the command line without one, so that either answers a key that was used with the other. Only
 * hashes of a key are kept, since it may say something about its user. Any thread may use it.
 */
import { hash } from 'node:crypto';
import { VanityError } from '../errors.ts';
import type { EarlierHandOut } from '../store/hand-out.ts';
import type { Receiver } from './pool.ts';
import { type ReadyAddress, readyAddress } from './ready-address.ts';

/** 1 to 255 printable ASCII characters. */
export const KEY = /^[\x20-\x7e]{1,255}$/;

/**
 * A key counts for its token, and within `scope` (route and pool); `body` is what was asked for, in
 * one form for all ways to write it.
 */
export function keyedReceiver(
  token: number,
  scope: string,
  key: string,
  body: string,
): Required<Pick<Receiver, 'token' | 'key' | 'body'>> {
  return { token, key: sha256(`${token}\0${scope}\0${key}`), body: sha256(body) };
}

/** For `keyedReceiver`. */
export function dispenseScope(pool: string): string {
  return `dispense\0${pool}`;
}

/**
 * What a hand-out gets that its key had before; its keys are wiped. `isOver` says whether keys of
 * that time are kept no longer. Errors: IDEMPOTENCY_EXPIRED,
 * IDEMPOTENCY_MISMATCH.
 */
export function handedOutBefore(
  { at, body: earlier, addresses }: EarlierHandOut,
  body: Uint8Array,
  isOver: (at: number) => boolean,
): ReadyAddress[] {
  const again = addresses?.map(readyAddress);
  for (const { key } of addresses ?? []) key.fill(0);
  if (isOver(at) || again === undefined) throw expired();
  assertSame(earlier, body);
  return again;
}

/** Error: IDEMPOTENCY_MISMATCH. */
export function assertSame(earlier: Uint8Array, body: Uint8Array): void {
  if (Buffer.compare(earlier, body) === 0) return;
  const detail = 'idempotency-key: used before with another body; nothing was handed out';
  throw new VanityError('IDEMPOTENCY_MISMATCH', detail);
}

export function expired(): VanityError {
  const detail = 'idempotency-key: its reply is kept no longer; nothing was handed out';
  return new VanityError('IDEMPOTENCY_EXPIRED', detail);
}

function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
