/** The pools as far as they exist for a token, and what is said of them. Runs in the HTTP threads. */

import type { PoolList, PoolView } from '../api/pools.ts';
import { VanityError } from '../errors.ts';
import { shownDifficulty } from '../keypair/difficulty.ts';
import type { Pool } from '../pool/pool.ts';
import type { Token } from '../token.ts';
import { mayUse } from './access.ts';
import type { AppDeps } from './app-deps.ts';
import type { Sight } from './event-streams.ts';
import { grinderView } from './grinder-view.ts';

/** What those see who may see these pools; undefined: all of them. */
export function poolList(deps: AppDeps, sight: Sight): PoolList {
  return {
    pools: visiblePools(deps.pools, sight).map(poolView),
    ...(sight === undefined && wholeServer(deps)),
  };
}

/** What is said beside the pools, to those who may see all of them. */
export function wholeServer({
  grinder,
  nodes,
}: Pick<AppDeps, 'grinder' | 'nodes'>): Pick<PoolList, 'grinder' | 'nodes'> {
  const counts = nodes.read();
  return { grinder: grinderView(grinder), ...(counts && { nodes: counts }) };
}

/** In the order of the pools, not of the names. */
export function visiblePools(pools: ReadonlyMap<string, Pool>, sight: Sight): Pool[] {
  const all = [...pools.values()];
  if (sight === undefined) return all;
  const names = new Set(sight);
  return all.filter(({ shared }) => names.has(shared.name));
}

/** The pool as far as it exists for the token. Error: POOL_NOT_FOUND. */
export function poolFor(
  token: Token | undefined,
  pools: ReadonlyMap<string, Pool>,
  name: string,
): Pool {
  const pool = mayUse(token, name) ? pools.get(name) : undefined;
  if (pool !== undefined) return pool;
  throw new VanityError('POOL_NOT_FOUND', `pool ${name}: no such pool`);
}

export function poolView(pool: Pool): PoolView {
  const { name, pattern, keys, handout } = pool.shared;
  const { grinding, consumptionPerHour, hoursOfStock, ...figures } = pool.status();
  return {
    name,
    pattern: pattern.text,
    difficulty: shownDifficulty(pattern.difficulty),
    keys,
    handout,
    ...figures,
    consumptionPerHour: rounded(consumptionPerHour),
    hoursOfStock: hoursOfStock === null ? null : rounded(hoursOfStock),
    grinding: { ...grinding, hitsPerSecond: rounded(grinding.hitsPerSecond) },
  };
}

/** To four digits. */
function rounded(figure: number): number {
  return Number(figure.toPrecision(4));
}
