/**
 * Tables of which there can be several, `[[pools]]` and `[[webhooks]]`: the environment counts them from 0,
 * changes those of the file, and adds more behind them. Any thread may use it.
 */
import { VanityError } from '../errors.ts';
import { isTable, type Settings } from './file.ts';

/** Of one table: values by key as in the file, and the variables that gave them. */
export interface TableVariables {
  readonly values: Record<string, string>;
  readonly names: Record<string, string>;
}

/** Tables of the environment, by their place among those of the file. */
export type TablesOfEnvironment = ReadonlyMap<number, TableVariables>;

/** `what`: `pools`. Error: CONFIG_INVALID for what is no list of tables. */
export function tablesOf(what: string, given: unknown): Settings[] {
  if (Array.isArray(given) && given.length > 0 && given.every(isTable)) return [...given];
  const one = what.replace(/s$/, '');
  throw new VanityError('CONFIG_INVALID', `${what}: write each ${one} as a [[${what}]] table`);
}

/** Empty tables behind those that are there, where the environment has more. Error: CONFIG_INVALID for a gap. */
export function addPlaces(
  what: string,
  tables: Settings[],
  environment: TablesOfEnvironment,
  max: number,
): void {
  for (const place of [...environment.keys()].sort((one, other) => one - other)) {
    if (place > tables.length) {
      const [name] = Object.values(environment.get(place)!.names);
      const next = tables.length;
      const detail = `${name}: ${what} are counted from 0, and ${next} is the next one`;
      throw new VanityError('CONFIG_INVALID', detail);
    }
    tables[place] ??= {};
  }
  if (tables.length > max) {
    throw new VanityError('CONFIG_INVALID', `${what}: ${tables.length}; allowed: ${max}`);
  }
}
