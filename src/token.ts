/**
 * Tokens: who may ask for what. A token is `vp_` and 256 random bits, so that a secret scanner
 * recognises one that leaked; only its SHA-256 is kept anywhere. Any thread may use it.
 */
import { hash, randomBytes } from 'node:crypto';
import { VanityError } from './errors.ts';

export const SCOPES = ['dispense', 'read', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** What a token allows. */
export interface Token {
  /** From 1; a token of the running server for its own command line has 0. */
  readonly id: number;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Names; undefined for all. Other pools do not exist for it. */
  readonly pools: readonly string[] | undefined;
  /** Addresses in a UTC day; undefined for any number. */
  readonly quota: number | undefined;
  /** Milliseconds since 1970. */
  readonly expiresAt: number | undefined;
}

/** What a thread that checks tokens knows of one. */
export interface KnownToken extends Token {
  /** As `tokenHash` gives it. */
  readonly hash: Uint8Array;
}

const TOKEN = /^vp_[A-Za-z0-9_-]{43}$/;

export function newToken(): string {
  return `vp_${randomBytes(32).toString('base64url')}`;
}

/** Whether the text can be a token at all. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** 32 bytes. */
export function tokenHash(token: string): Buffer {
  return hash('sha256', token, 'buffer');
}

/** A token keeps the name of a pool that is deleted later. Error: POOL_NOT_FOUND. */
export function assertPoolsExist(named: readonly string[], pools: Iterable<string>): void {
  const there = new Set(pools);
  const missing = named.find((name) => !there.has(name));
  if (missing === undefined) return;
  const detail = `pool ${missing}: no such pool; there are: ${[...there].join(', ')}`;
  throw new VanityError('POOL_NOT_FOUND', detail);
}
