/**
 * What binds a row to the sealing key: a MAC (HMAC-SHA256) of all that it says, under a key that only the private
 * sealing key gives. Pure: true of any database.
 */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { VanityError } from '../errors.ts';

/** What a MAC is of, in this order. What grows by itself (figures, last use) is not part of it. */
const SAID = {
  meta: ['token_id', 'had_tokens'],
  token: [
    ...['id', 'name', 'hash', 'scopes', 'pools', 'quota'],
    ...['created_at', 'expires_at', 'revoked_at', 'off_at'],
  ],
  pool: [
    ...['id', 'name', 'prefix', 'suffix', 'ignore_case', 'keys', 'handout'],
    ...['settings', 'is_paused', 'removed_at'],
  ],
} as const;

/** A row by the names of its columns. */
export type Row = Readonly<Record<string, unknown>>;
export type Kind = keyof typeof SAID;

export function macOf(kind: Kind, row: Row, key: KeyObject): Buffer {
  return createHmac('sha256', key).update(saidBy(kind, row)).digest();
}

export function saidBy(kind: Kind, row: Row): string {
  const said = SAID[kind].map((column) => {
    const value = row[column];
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
  });
  return JSON.stringify([kind, ...said]);
}

/** Whether the row has the MAC of what it says. */
export function hasMac(kind: Kind, row: Row, key: KeyObject): boolean {
  const { mac } = row;
  const right = macOf(kind, row, key);
  return mac instanceof Uint8Array && mac.length === right.length && timingSafeEqual(mac, right);
}

/** STORE_FORGED, for `what` is not as this program writes it. */
export function forged(what: string): VanityError {
  const shown = what.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?');
  const detail =
    `${shown}: was not written by vanitypool, or under another sealing key: somebody else has ` +
    'changed the database. Restore it from a backup, and find out who can write the data directory';
  return new VanityError('STORE_FORGED', detail);
}
