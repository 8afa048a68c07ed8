/** Whether addresses can be handed out now, and what is not well. Runs in the HTTP threads. */

import type { PoolView } from '../api/pools.ts';
import type { Readiness, StatusEvent } from '../api/service.ts';
import { type ErrorCode, VanityError } from '../errors.ts';
import type { StoreHealth } from '../pool/health.ts';
import type { AppDeps } from './app-deps.ts';
import { poolView } from './visible-pools.ts';

/** Errors: DRAINING, STORE_UNAVAILABLE, POOL_EMPTY. */
export function readiness(
  { pools, storeHealth, isDraining, isGrinder }: AppDeps,
  mayTellWhy = true,
): Readiness {
  if (isDraining()) throw new VanityError('DRAINING', 'the server is shutting down');
  if (isGrinder) return readyToGrind(storeHealth);
  const { status, reasons } = stateOf(pools.values().map(poolView), storeHealth);
  if (status !== 'unavailable') return { status, reasons: mayTellWhy ? reasons : [] };
  const code = storeHealth.failure === undefined ? 'POOL_EMPTY' : 'STORE_UNAVAILABLE';
  const why = mayTellWhy ? `: ${reasons.map(inWords).join(', ')}` : '';
  throw new VanityError(code, `no pool can serve${why}`, { retryAfterSeconds: 1 });
}

/** A node that only grinds serves no pool: it has its store. Error: STORE_UNAVAILABLE. */
function readyToGrind({ failure }: StoreHealth): Readiness {
  if (failure === undefined) return { status: 'ready', reasons: [] };
  const detail = inWords(reasonOf(failure));
  throw new VanityError('STORE_UNAVAILABLE', detail, { retryAfterSeconds: 1 });
}

/** What the store fails with, and what to type where a command says who can end it. */
function reasonOf(failure: ErrorCode): string {
  if (failure !== 'STORE_REWOUND') return failure;
  return `${failure}: the database may have gone back in time, "vanitypool nodes" says who is missed and what to type`;
}

/** What `stateOf` says of a pool, without the code that the whole answer may have too. */
const STATES: Readonly<Record<string, string>> = {
  POOL_EMPTY: 'is empty',
  POOL_PAUSED: 'is paused',
  STORE_UNAVAILABLE: 'waits for the store',
};

function inWords(reason: string): string {
  const [, code = '', rest] = /^(\w+)(?:: (.*))?$/.exec(reason) ?? [];
  if (rest === undefined || code === 'STORE_REWOUND') return `the store fails with ${reason}`;
  return code in STATES ? `pool ${rest} ${STATES[code]}` : rest;
}

/** Whether any of these pools can serve, and what is not well with them and the store. */
export function stateOf(
  pools: Iterable<Pick<PoolView, 'name' | 'paused' | 'ready' | 'stock'>>,
  health: StoreHealth,
): StatusEvent['readiness'] {
  const { failure, journalFault } = health;
  const reasons = [failure && reasonOf(failure), journalFault].filter(
    (reason): reason is string => reason !== undefined,
  );
  let canServe = false;
  for (const { name, paused, ready, stock } of pools) {
    if (paused) reasons.push(`POOL_PAUSED: ${name}`);
    else if (ready > 0 || (stock > 0 && failure === undefined)) canServe = true;
    else reasons.push(`${stock > 0 ? 'STORE_UNAVAILABLE' : 'POOL_EMPTY'}: ${name}`);
  }
  if (!canServe) return { status: 'unavailable', reasons };
  return { status: reasons.length === 0 ? 'ready' : 'degraded', reasons };
}

/** Since the start of the process, in whole seconds; a clock that is set changes nothing. */
export function uptimeSeconds(): number {
  return Math.floor(process.uptime());
}
