/**
 * The `Idempotency-Key` header of a request. Only hashes of it leave here. Runs in the HTTP threads.
 */
import type { IncomingMessage } from 'node:http';
import { VanityError } from '../errors.ts';
import { KEY, keyedReceiver } from '../pool/idempotency.ts';
import type { Receiver } from '../pool/pool.ts';
import type { Token } from '../token.ts';

const HEADER = 'idempotency-key';

/** What a route that takes the header can answer because of it. */
export const IDEMPOTENCY_ERRORS = [
  'IDEMPOTENCY_KEY_INVALID',
  'IDEMPOTENCY_IN_FLIGHT',
  'IDEMPOTENCY_EXPIRED',
  'IDEMPOTENCY_MISMATCH',
] as const;

/**
 * Whom a request is for. A key counts for its token, and within `scope` (route and pool); `body` is
 * what was asked for, in one form for all ways to write it. Error: IDEMPOTENCY_KEY_INVALID.
 */
export function receiverOf(
  request: IncomingMessage,
  of: Token | undefined,
  scope: string,
  body: string,
): Receiver {
  const token = of?.id ?? 0;
  const key = request.headers[HEADER];
  if (key === undefined) return { token };
  // Node joins several to one text.
  const times = request.rawHeaders.filter((text) => text.toLowerCase() === HEADER).length;
  if (typeof key !== 'string' || times !== 1 || !KEY.test(key)) {
    throw new VanityError(
      'IDEMPOTENCY_KEY_INVALID',
      'idempotency-key: allowed: one header of 1 to 255 printable ASCII characters',
    );
  }
  return keyedReceiver(token, scope, key, body);
}
