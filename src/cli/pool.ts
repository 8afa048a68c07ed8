/**
 * `vanitypool pool create | list | set | pause | resume | delete`: by the running server, or in the
 * store when none runs; then the next server takes it up.
 */

import type { NewPoolBody, PoolList, PoolRemoved, PoolView } from '../api/pools.ts';
import type { Config } from '../config/config.ts';
import type { Settings } from '../config/file.ts';
import { inFile, readChange, readPool, readText } from '../config/pool-config.ts';
import { POOL_SETTINGS, type SettingsTable, spelled } from '../config/pool-settings.ts';
import type { StoredPool } from '../store/stored-pool.ts';
import { onePositional, readArguments, readVerb } from './arguments.ts';
import { type Options, POOL_OPTIONS } from './command-options.ts';
import { formatCount, formatTable, leftByKill } from './format.ts';
import { type PatternValues, readPattern, usage } from './options.ts';
import { askOrLook, assertPlace, type Place } from './or-store.ts';
import type { Outputs } from './output.ts';
import { setFlags } from './pool-help.ts';

const HEADINGS = ['pool', 'pattern', 'target', 'stock', 'dispensed', 'burned', 'state'];
type Verb = keyof typeof POOL_OPTIONS;
const VERBS = Object.keys(POOL_OPTIONS) as Verb[];

/** By name of an option, those of the settings of a pool among them. */
interface Values extends Place, PatternValues {
  readonly json?: boolean;
  readonly burn?: string;
  readonly [setting: string]: unknown;
}

export async function pool(args: string[], outputs: Outputs): Promise<number> {
  const [verb, rest] = readVerb('pool', args, VERBS);
  if (verb === 'create') return create(rest, outputs);
  if (verb === 'list') return list(rest, outputs);
  if (verb === 'set') return set(rest, outputs);
  if (verb === 'pause') return pause(rest, true, outputs);
  if (verb === 'resume') return pause(rest, false, outputs);
  return remove(rest, outputs);
}

/** The arguments of a subcommand that takes the name of one pool. */
function readNamed(verb: Exclude<Verb, 'list'>, args: string[]): { values: Values; name: string } {
  const command = `pool ${verb}`;
  const options: Options = POOL_OPTIONS[verb];
  const siblings = POOL_OPTIONS;
  const read = readArguments(args, { command, options, siblings, allowPositionals: true });
  const values = read.values as Values;
  assertPlace(values);
  return { values, name: onePositional(command, 'pool', read.positionals) };
}

/** The settings that flags give, by name; what is not allowed is left for the configuration to refuse. */
export function settingsIn(
  values: Readonly<Record<string, unknown>>,
  table: SettingsTable = POOL_SETTINGS,
): Settings {
  const given = Object.entries(table).map(([name, setting]) => {
    const value = values[spelled(name, '-')];
    return [name, typeof value === 'string' ? readText(setting, value) : value];
  });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

/** Refusals use the words of the configuration, with a server or without one. */
function flagOf(key: string): string {
  return key === 'name' ? 'pool create: NAME' : `--${key.replaceAll('_', '-')}`;
}

async function create(args: string[], outputs: Outputs): Promise<number> {
  const { values, name } = readNamed('create', args);
  readPattern(values);
  const given = { name, ...settingsIn(values) };
  const config = readPool(inFile(given), flagOf);
  const made = await askOrLook(
    values,
    (server) => server.ask(({ admin }) => admin.createPool(given as NewPoolBody)),
    async (configuration) => {
      const { createPoolOffline } = await import('../offline/pools.ts');
      return viewOf(configuration, await createPoolOffline(configuration, config));
    },
    outputs,
  );
  return tell(made, values.json, `made, ${made.pattern}`, outputs);
}

async function list(args: string[], outputs: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'pool list',
    options: POOL_OPTIONS.list,
    siblings: POOL_OPTIONS,
  });
  let killed: string[] = [];
  const { pools } = await askOrLook(
    values,
    (server) => server.ask((client) => client.status()),
    async (config): Promise<PoolList> => {
      const { poolsOffline } = await import('../offline/pools.ts');
      const stored = await poolsOffline(config);
      const views = await Promise.all(stored.map((one) => viewOf(config, one)));
      killed = views.flatMap(leftByKill);
      return { pools: views };
    },
    outputs,
  );
  const table = formatTable([HEADINGS, ...pools.map(row)], 2);
  const notes = killed.length === 0 ? '' : `\n${killed.join('')}`;
  await outputs.print(values.json ? `${JSON.stringify({ pools })}\n` : table + notes);
  return 0;
}

async function set(args: string[], outputs: Outputs): Promise<number> {
  const { values, name } = readNamed('set', args);
  const change = readChange(inFile(settingsIn(values)), flagOf);
  if (Object.keys(change).length === 0) {
    throw usage(
      `pool set: nothing to set; give ${setFlags()
        .join(', ')
        .replace(/, (?=[^,]*$)/, ' or ')}`,
    );
  }
  const changed = await askOrLook(
    values,
    (server) => server.ask(({ admin }) => admin.changePool(name, change)),
    async (config) => {
      const { changePoolOffline } = await import('../offline/pools.ts');
      return viewOf(config, await changePoolOffline(config, name, change));
    },
    outputs,
  );
  return tell(changed, values.json, `target ${formatCount(changed.target)}`, outputs);
}

async function pause(args: string[], isPaused: boolean, outputs: Outputs): Promise<number> {
  const verb = isPaused ? 'pause' : 'resume';
  const { values, name } = readNamed(verb, args);
  const view = await askOrLook(
    values,
    (server) =>
      server.ask(({ admin }) => (isPaused ? admin.pausePool(name) : admin.resumePool(name))),
    async (config) => {
      const { pausePoolOffline } = await import('../offline/pools.ts');
      return viewOf(config, await pausePoolOffline(config, name, isPaused));
    },
    outputs,
  );
  return tell(view, values.json, isPaused ? 'paused' : 'resumed', outputs);
}

async function remove(args: string[], outputs: Outputs): Promise<number> {
  const { values, name } = readNamed('delete', args);
  if (values.burn !== name) {
    throw usage(`pool delete: burns all that the pool has left; to say so, give --burn ${name}`);
  }
  const removed = await askOrLook(
    values,
    (server) => server.ask(({ admin }) => admin.deletePool(name, { burn: name })),
    async (config): Promise<PoolRemoved> => {
      const { removePoolOffline } = await import('../offline/pools.ts');
      return { name, burned: await removePoolOffline(config, name) };
    },
    outputs,
  );
  return tell(removed, values.json, `deleted, ${formatCount(removed.burned)} burned`, outputs);
}

async function tell(
  view: { name: string },
  asJson: boolean | undefined,
  words: string,
  { print }: Outputs,
): Promise<number> {
  await print(`${asJson ? JSON.stringify(view) : `pool ${view.name}: ${words}`}\n`);
  return 0;
}

async function viewOf(config: Config, stored: StoredPool): Promise<PoolView> {
  const { storedPoolView } = await import('../api/views.ts');
  return storedPoolView(
    stored,
    config.pools.find(({ name }) => name === stored.name),
  );
}

function row({ name, pattern, target, stock, dispensed, burned, ...pool }: PoolView): string[] {
  const figures = [target, stock, dispensed, burned].map(formatCount);
  const state = pool.grinding.active ? 'grinding' : '-';
  return [name, pattern, ...figures, pool.paused ? 'paused' : state];
}
