/**
 * `vanitypool grind`: searches until the addresses are found, and keeps each the moment it is
 * found: as a key file, or as a line of JSON with its secret when that was asked for; one whose line
 * cannot be written is kept in a file all the same. Runs the server's own grinder; what it finds beyond
 * the count is wiped and never shown. Expanded keys have no seed, so their files are in a format of our
 * own.
 *
 * SIGINT and SIGTERM end the search after the slices that run (25 ms each) and exit with 130; what
 * they found is kept, and every file is whole. A second one exits at once.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { VanityError } from '../errors.ts';
import { Grinder } from '../grinder/grinder.ts';
import { loadKernel } from '../grinder/load-kernel.ts';
import { addressOf, encodeBase58 } from '../keypair/address.ts';
import { writeExpandedKeyFile, writeKeypairFile } from '../keypair/key-file.ts';
import type { Pattern } from '../keypair/pattern.ts';
import type { Hit, KeyType } from '../keypair/signing-key.ts';
import { createLog } from '../log.ts';
import { assertMemory } from '../system/memory-limits.ts';
import { assertThreads } from '../system/thread-limits.ts';
import { readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { GrindProgress } from './grind-progress.ts';
import { prepareDirectory } from './key-directory.ts';
import { readKeyType, readPattern, readThreads, readWhole, usage } from './options.ts';
import type { Outputs } from './output.ts';

const INTERRUPTED = 130;
const COUNT_MAX = 1_000_000;
const SLICE_MS = 25;
/** Few, because all that wait are still written after an interrupt. */
const BATCH_MAX = 16;

interface Kept {
  /** For standard output. */
  readonly line: string;
  /** The line is to be the only copy. */
  readonly isOnly: boolean;
  /** The path of its file, which is made now if there is none. */
  readonly file: () => string;
}

/** Keeps a key that was found; throws when it cannot be kept. */
type Keep = (hit: Hit, attempts: number, elapsedMs: number) => Kept;

export async function grind(args: string[], outputs: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'grind',
    options: OPTIONS.grind,
  });
  const { out = '.', json = false, secrets = false } = values;
  const keys = readKeyType(values.keys);
  if (secrets && !json) throw usage('--secrets: goes with --json only');
  if (secrets && values.out !== undefined) {
    throw usage('--out: with --secrets no file is written; leave one of both out');
  }
  const pattern = readPattern(values);
  const count = readWhole('--count', values.count, 1, COUNT_MAX);
  const threads = readThreads(values.threads);
  // Here first, because what fails in the grinder's threads is tried again for ever.
  loadKernel().kernel.open([pattern], keys).close();
  assertThreads(threads, 'the grinder');
  assertMemory({ threads, hasTable: true }, 'the grinder');
  if (!secrets) prepareDirectory(out, Math.min(count, BATCH_MAX), outputs.stderr);
  const keep = keeper(keys, out, json, secrets);
  return search(pattern, keys, count, threads, keep, outputs);
}

function keeper(keys: KeyType, directory: string, json: boolean, secrets: boolean): Keep {
  const isSeed = keys === 'seed';
  return ({ key, publicKey }, attempts, elapsedMs) => {
    const address = addressOf(publicKey);
    const found = { address, attempts, elapsedMs: Math.round(elapsedMs) };
    const write = () =>
      isSeed ? writeKeypairFile(directory, key) : writeExpandedKeyFile(directory, publicKey, key);
    if (secrets) {
      const name = isSeed ? 'secretKey' : 'expandedKey';
      const line = JSON.stringify({ ...found, [name]: encodeBase58(key) });
      return { line, isOnly: true, file: write };
    }
    const path = write();
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

/** The exit code. Throws what `keep` and `printKept` throw. */
async function search(
  pattern: Pattern,
  keyType: KeyType,
  count: number,
  threads: number,
  keep: Keep,
  outputs: Outputs,
): Promise<number> {
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
      if (progress.found === count || failure !== undefined) break;
      const { attempts } = grinder.stats();
      try {
        const kept = keep(hit, attempts, progress.elapsedMs);
        progress.hit(attempts);
        await printKept(kept, outputs);
      } catch (error) {
        failure = error;
      }
      // Between two files signals are heard.
      await turn();
    }
    if (progress.found === count || failure !== undefined) end.resolve();
  };
  const grinder = new Grinder({
    threads,
    batch: Math.min(count, BATCH_MAX),
    sliceMs: SLICE_MS,
    priority: 'normal',
    onHits,
    log: createLog('main', 'warn', outputs.stderr.isTTY),
  });
  const progress = new GrindProgress(pattern, count, () => grinder.stats(), outputs.stderr);
  try {
    grinder.steer([{ pool: 'grind', pattern, keyType }]);
    await end.promise;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await grinder.close();
    progress.end();
  }
  if (failure !== undefined) throw failure;
  return progress.found === count ? 0 : INTERRUPTED;
}
