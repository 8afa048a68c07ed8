/**
 * `vanitypool grind`: searches until the addresses of all patterns are found, in one pass, and keeps each the moment it is
 * found: as a key file, encrypted if that was asked for, or as a line of JSON with its secret when that was asked for; one whose line
 * cannot be written is kept in a file all the same. Runs the server's own grinder; what it finds beyond
 * the count is wiped and never shown. Expanded keys have no seed, so their files are in a format of our
 * own.
 *
 * SIGINT and SIGTERM end the search after the slices that run (25 ms each) and exit with 130; what
 * they found is kept, every file is whole, and a line says how to go on. A second one exits at once.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { VanityError } from '../errors.ts';
import { Grinder } from '../grinder/grinder.ts';
import { loadKernel } from '../grinder/load-kernel.ts';
import { addressOf, encodeBase58 } from '../keypair/address.ts';
import { writeExpandedKeyFile, writeKeypairFile } from '../keypair/key-file.ts';
import type { Hit, KeyType } from '../keypair/signing-key.ts';
import { createLog } from '../log.ts';
import { assertMemory } from '../system/memory-limits.ts';
import { assertThreads } from '../system/thread-limits.ts';
import { readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { type Encrypt, readEncryption, writeEncryptedFile } from './grind-encryption.ts';
import { type Goal, type Goals, readGoals } from './grind-goals.ts';
import { GrindProgress } from './grind-progress.ts';
import { prepareDirectory } from './key-directory.ts';
import { advised, optionWords, quoted, readKeyType, readThreads, usage } from './options.ts';
import type { Outputs } from './output.ts';

const INTERRUPTED = 130;
const SLICE_MS = 25;
/** Few, because all that wait are still written after an interrupt. */
const BATCH_MAX = 16;
const STEER_MS = 1000;

type Typed = ReturnType<typeof readArguments<typeof OPTIONS.grind>>['values'];

interface Kept {
  /** For standard output. */
  readonly line: string;
  /** The line is to be the only copy. */
  readonly isOnly: boolean;
  /** The path of its file, which is made now if there is none. */
  readonly file: () => string;
}

interface Found {
  readonly hit: Hit;
  readonly goal: Goal;
  readonly attempts: number;
  readonly elapsedMs: number;
}

/** Keeps a key that was found; rejects when it cannot be kept. */
type Keep = (found: Found) => Promise<Kept>;

export async function grind(args: string[], outputs: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'grind',
    options: OPTIONS.grind,
  });
  const { out = '.', json = false, secrets = false, encrypt = [] } = values;
  const keys = readKeyType(values.keys);
  if (secrets && !json) throw usage('--secrets: goes with --json only');
  const other = secrets && (encrypt.length > 0 ? '--encrypt' : values.out && '--out');
  if (other) throw usage(`${other}: with --secrets no file is written; leave one of both out`);
  const goals = readGoals(values);
  const threads = readThreads(values.threads, values['num-threads']);
  // Here first, because what fails in the grinder's threads is tried again for ever.
  const patterns = goals.all.map(({ pattern }) => pattern);
  loadKernel().kernel.open(patterns, keys).close();
  assertThreads(threads, 'the grinder');
  assertMemory({ threads, hasTable: true }, 'the grinder');
  const encryption = await readEncryption(encrypt, outputs.stderr);
  if (!secrets) prepareDirectory(out, Math.min(goals.count, BATCH_MAX), outputs.stderr);
  const isOne = goals.all.length === 1;
  const keep = keeper({ keys, directory: out, json, secrets, isOne, encryption });
  const isReached = await search(goals, keys, threads, keep, outputs).catch((error) => {
    throw advised(error, goOn(goals, values));
  });
  if (isReached) return 0;
  outputs.stderr.write(goOn(goals, values));
  return INTERRUPTED;
}

/** The command that searches for what is left, as lines for people. */
function goOn(goals: Goals, values: Typed): string {
  const flags = (['ignore-case', 'json', 'secrets'] as const).filter((flag) => values[flag]);
  const words = ['vanitypool', 'grind', ...goals.wordsLeft(), ...flags.map((flag) => `--${flag}`)];
  for (const name of ['keys', 'threads', 'num-threads', 'out'] as const) {
    const value = values[name];
    if (value !== undefined) words.push(...optionWords(`--${name}`, value));
  }
  for (const to of values.encrypt ?? []) words.push(...optionWords('--encrypt', to));
  return `What was found is kept. This searches for the rest:\n  ${words.map(quoted).join(' ')}\n`;
}

interface Keeping {
  readonly keys: KeyType;
  readonly directory: string;
  readonly json: boolean;
  readonly secrets: boolean;
  /** One pattern alone: no line says which. */
  readonly isOne: boolean;
  readonly encryption: Encrypt | undefined;
}

function keeper({ keys, directory, json, secrets, isOne, encryption }: Keeping): Keep {
  const isSeed = keys === 'seed';
  return async ({ hit: { key, publicKey }, goal, attempts, elapsedMs }) => {
    const address = addressOf(publicKey);
    const pattern = isOne ? {} : { pattern: goal.pattern.text };
    const found = { address, ...pattern, attempts, elapsedMs: Math.round(elapsedMs) };
    const write = () =>
      isSeed ? writeKeypairFile(directory, key) : writeExpandedKeyFile(directory, publicKey, key);
    if (secrets) {
      const name = isSeed ? 'secretKey' : 'expandedKey';
      const line = JSON.stringify({ ...found, [name]: encodeBase58(key) });
      return { line, isOnly: true, file: write };
    }
    const path =
      encryption === undefined
        ? write()
        : await writeEncryptedFile(directory, { keyType: keys, key, publicKey }, encryption);
    return { line: json ? JSON.stringify(found) : path, isOnly: false, file: () => path };
  };
}

/** Error: FILE_NOT_WRITABLE, with the file that the key is in. */
async function printKept(
  { line, isOnly, file }: Kept,
  { print, syncOutput }: Outputs,
): Promise<void> {
  try {
    await print(`${line}\n`);
    if (isOnly) syncOutput();
  } catch (error) {
    const { message } = error as Error;
    throw new VanityError('FILE_NOT_WRITABLE', `${message}; the key is in ${file()}`);
  }
}

/** Whether all was found. Throws what `keep` and `printKept` throw. */
async function search(
  goals: Goals,
  keyType: KeyType,
  threads: number,
  keep: Keep,
  outputs: Outputs,
): Promise<boolean> {
  const end = Promise.withResolvers<void>();
  const interrupt = () => {
    process.once('SIGINT', () => process.exit(INTERRUPTED));
    process.once('SIGTERM', () => process.exit(INTERRUPTED));
    end.resolve();
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);

  let failure: unknown;
  const onHits = async (hits: Hit[]) => {
    for (const hit of hits) {
      if (failure !== undefined) break;
      const goal = goals.of(addressOf(hit.publicKey));
      if (goal === undefined) continue;
      const { attempts } = grinder.stats();
      try {
        const kept = await keep({ hit, goal, attempts, elapsedMs: progress.elapsedMs });
        goals.add(goal);
        progress.hit(goal, attempts);
        await printKept(kept, outputs);
      } catch (error) {
        failure = error;
      }
      // Between two files signals are heard.
      await turn();
    }
    if (goals.isReached || failure !== undefined) end.resolve();
    else steering.follow();
  };
  const grinder = new Grinder({
    threads,
    batch: Math.min(goals.count, BATCH_MAX),
    sliceMs: SLICE_MS,
    priority: 'normal',
    onHits,
    log: createLog('main', 'warn', outputs.stderr.isTTY),
  });
  const steering = new Steering(grinder, goals, keyType);
  const progress = new GrindProgress(goals, () => grinder.stats(), outputs.stderr);
  try {
    steering.follow();
    await end.promise;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await grinder.close();
    progress.end();
  }
  if (failure !== undefined) throw failure;
  return goals.isReached;
}

/**
 * Which patterns are searched for. A search is made anew when one of them is done, which takes up to 100 ms with hundreds of
 * prefixes: once a second at most, since a hit that nobody wants takes 0.1 ms.
 */
class Steering {
  readonly #grinder: Grinder;
  readonly #goals: Goals;
  readonly #keyType: KeyType;
  #steered = 0;
  #at = Number.NEGATIVE_INFINITY;

  constructor(grinder: Grinder, goals: Goals, keyType: KeyType) {
    this.#grinder = grinder;
    this.#goals = goals;
    this.#keyType = keyType;
  }

  follow(): void {
    const { open } = this.#goals;
    if (open.length === this.#steered || performance.now() - this.#at < STEER_MS) return;
    this.#steered = open.length;
    this.#at = performance.now();
    const keyType = this.#keyType;
    this.#grinder.steer(open.map(({ pattern }) => ({ pool: 'grind', pattern, keyType })));
  }
}
