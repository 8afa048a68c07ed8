/**
 * What the program knows, in the shapes that leave over HTTP. Pure; also the command line shows
 * these when it reads the store itself, so that both say the same.
 */
import { POOL_SETTINGS } from '../config/pool-settings.ts';
import { encodeBase58 } from '../keypair/address.ts';
import { shownDifficulty } from '../keypair/difficulty.ts';
import { parsePattern } from '../keypair/pattern.ts';
import type { AuditedAddress, FoundAddress } from '../store/audit-store.ts';
import type { StoreNodes } from '../store/node-store.ts';
import type { StoredPool } from '../store/stored-pool.ts';
import type { StoredToken } from '../store/token-store.ts';
import type { AddressView, AuditEntry } from './audit.ts';
import type { NodesView } from './nodes.ts';
import type { PoolView } from './pools.ts';
import { FIRST_TOKEN_WARNING, type TokenMade, type TokenView } from './tokens.ts';

/**
 * A pool as a server would show it before it serves; what a killed run had leased is
 * not in its stock before the next start has settled it. `settings`: of the configuration,
 * where it stands there.
 */
export function storedPoolView(stored: StoredPool, settings = stored.settings): PoolView {
  const { name, keys, handout, isPaused } = stored;
  const { leasedHere: _, ...counts } = stored.counts;
  const { text, difficulty } = parsePattern(stored);
  return {
    name,
    pattern: text,
    difficulty: shownDifficulty(difficulty),
    keys,
    handout,
    target: settings?.target ?? 0,
    lowHours: settings?.lowHours ?? POOL_SETTINGS.lowHours.default,
    paused: isPaused,
    ...counts,
    ready: 0,
    stock: counts.available,
    consumptionPerHour: 0,
    hoursOfStock: null,
    grinding: {
      active: false,
      threads: 0,
      attemptsPerSecond: 0,
      hitsPerSecond: 0,
      etaSeconds: null,
    },
  };
}

/** With its text, which is shown only once. `isFirst`: no token was needed before it. */
export function tokenMade(text: string, token: StoredToken, isFirst: boolean): TokenMade {
  return { token: text, warning: isFirst ? FIRST_TOKEN_WARNING : null, ...tokenView(token) };
}

export function tokenView(token: StoredToken): TokenView {
  const { name, scopes, pools, quota, createdAt, expiresAt, revokedAt, offAt, lastUsedAt } = token;
  return {
    name,
    scopes: [...scopes],
    pools: pools === undefined ? null : [...pools],
    quota: quota ?? null,
    createdAt: new Date(createdAt).toISOString(),
    expiresAt: timeOrNull(expiresAt),
    revokedAt: timeOrNull(revokedAt),
    offAt: timeOrNull(offAt),
    isForged: token.isForged,
    lastUsedAt: timeOrNull(lastUsedAt),
  };
}

export function auditEntry(audited: AuditedAddress): AuditEntry {
  const { id, address, pool, state, at, token, keyHash, cause, signatures, isExhausted } = audited;
  return {
    id,
    address: address ?? null,
    pool,
    state,
    at: new Date(at).toISOString(),
    token: token ?? null,
    idempotencyKeyHash: hexOrNull(keyHash),
    cause: cause ?? null,
    signatures,
    isExhausted,
  };
}

export function addressView(address: string, found: FoundAddress): AddressView {
  const { id, pool, state, origin, createdAt, at, token, keyHash, cause } = found;
  return {
    id,
    address,
    pool,
    state,
    at: timeOrNull(at),
    origin,
    createdAt: new Date(createdAt).toISOString(),
    token: token ?? null,
    idempotencyKeyHash: hexOrNull(keyHash),
    cause: cause ?? null,
    isSecretDestroyed: found.isDestroyed,
    isExhausted: found.isExhausted,
    signatures: found.signatures.map(({ at, token, messageHash, signature }) => ({
      at: new Date(at).toISOString(),
      token,
      messageHash: Buffer.from(messageHash).toString('hex'),
      signature: encodeBase58(signature),
    })),
  };
}

export function nodesView({ state, nodes }: StoreNodes): NodesView {
  return {
    state,
    nodes: nodes.map((node) => ({
      id: node.id,
      name: node.name,
      role: node.role,
      state: node.state,
      isHeard: node.isHeard,
      lastSeenAt: timeOrNull(node.lastSeenAt ?? undefined),
      leased: node.leased,
      attemptsPerSecond: node.attemptsPerSecond,
      retiredAt: timeOrNull(node.retiredAt ?? undefined),
    })),
  };
}

function hexOrNull(bytes: Uint8Array | undefined): string | null {
  return bytes === undefined ? null : Buffer.from(bytes).toString('hex');
}

function timeOrNull(at: number | undefined): string | null {
  return at === undefined ? null : new Date(at).toISOString();
}
