/**
 * `vanitypool pool create | list | set | pause | resume | delete`: by the running server, or in the
 * store when none runs; then the next server takes it up.
 */

import type { NewPoolBody, PoolList, PoolRemoved, PoolView } from '../api/pools.ts';
import type { Config } from '../config/config.ts';
import type { Settings } from '../config/file.ts';
import { LOW_HOURS_MAX, readPool } from '../config/pool-config.ts';
import type { StoredPool } from '../store/stored-pool.ts';
import { onePositional, readArguments, readVerb } from './arguments.ts';
import { formatCount, formatTable, leftByKill } from './format.ts';
import { readPattern, readWhole, usage } from './options.ts';
import { askOrLook, assertPlace, PLACE_OPTIONS, type Place } from './or-store.ts';
import type { Outputs } from './output.ts';

const HEADINGS = ['pool', 'pattern', 'target', 'stock', 'dispensed', 'burned', 'state'];
const COMMON = { ...PLACE_OPTIONS, json: { type: 'boolean' } } as const;
const SIZES = {
  target: { type: 'string' },
  ready: { type: 'string' },
  'low-hours': { type: 'string' },
} as const;
/** Of each subcommand. */
const OPTIONS = {
  create: {
    ...COMMON,
    ...SIZES,
    suffix: { type: 'string' },
    prefix: { type: 'string' },
    'ignore-case': { type: 'boolean' },
    'ready-max': { type: 'string' },
    handout: { type: 'string' },
    'sign-limit': { type: 'string' },
    'reuse-released': { type: 'boolean' },
    'accepts-imports': { type: 'boolean' },
  },
  list: COMMON,
  set: { ...COMMON, ...SIZES },
  pause: COMMON,
  resume: COMMON,
  delete: { ...COMMON, burn: { type: 'string' } },
} as const;
type Verb = keyof typeof OPTIONS;
const VERBS = Object.keys(OPTIONS) as Verb[];

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
function readNamed<V extends Exclude<Verb, 'list'>>(verb: V, args: string[]) {
  const command = `pool ${verb}`;
  const options = OPTIONS[verb];
  const siblings = OPTIONS;
  const { values, positionals } = readArguments(args, {
    command,
    options,
    siblings,
    allowPositionals: true,
  });
  assertPlace(values as Place);
  return { values, name: onePositional(command, 'pool', positionals) };
}

async function create(args: string[], outputs: Outputs): Promise<number> {
  const { values, name } = readNamed('create', args);
  readPattern(values);
  const given = {
    name,
    suffix: values.suffix,
    prefix: values.prefix,
    ignoreCase: values['ignore-case'],
    target: readSize('--target', values.target),
    ready: readSize('--ready', values.ready),
    readyMax: readSize('--ready-max', values['ready-max']),
    lowHours: readHours(values['low-hours']),
    handout: values.handout as NewPoolBody['handout'],
    signLimit: readSize('--sign-limit', values['sign-limit']),
    reuseReleased: values['reuse-released'],
    acceptsImports: values['accepts-imports'],
  };
  const settings: Settings = {
    name,
    suffix: given.suffix,
    prefix: given.prefix,
    ignore_case: given.ignoreCase,
    target: given.target,
    ready: given.ready,
    ready_max: given.readyMax,
    low_hours: given.lowHours,
    handout: given.handout,
    sign_limit: given.signLimit,
    reuse_released: given.reuseReleased,
    accepts_imports: given.acceptsImports,
  };
  // What is not allowed is told in the words of the configuration, whoever makes the pool.
  const config = readPool(settings, (key) => {
    return key === 'name' ? 'pool create: NAME' : `--${key.replaceAll('_', '-')}`;
  });
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
    options: OPTIONS.list,
    siblings: OPTIONS,
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
  const target = readSize('--target', values.target);
  const ready = readSize('--ready', values.ready);
  const lowHours = readHours(values['low-hours']);
  if (target === undefined && ready === undefined && lowHours === undefined) {
    throw usage('pool set: nothing to set; give --target N, --ready N or --low-hours HOURS');
  }
  const change = {
    ...(target !== undefined && { target }),
    ...(ready !== undefined && { ready }),
    ...(lowHours !== undefined && { lowHours }),
  };
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

function readHours(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const hours = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (hours <= LOW_HOURS_MAX) return hours;
  const allowed = `a number of hours from 0 to ${LOW_HOURS_MAX}`;
  throw usage(`--low-hours: ${JSON.stringify(text)} is not allowed; allowed: ${allowed}`);
}

/** The configuration says what is allowed beyond a whole number. */
function readSize(flag: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : readWhole(flag, text, 1, 100_000_000);
}
