/**
 * `vanitypool import`: keys of files, folders and standard input into a pool, through the running server or into
 * the store when none runs. All are read and proved before the first key comes in. They come in batches, each of them
 * whole or not at all; SIGINT, SIGTERM and SIGHUP end it between two, with 130. Done again, it counts what
 * is in already.
 */

import { IMPORT_LIMIT, type ImportReport } from '../api/imports.ts';
import { VanityError } from '../errors.ts';
import { addressOf, encodeBase58 } from '../keypair/address.ts';
import type { SigningKey } from '../keypair/signing-key.ts';
import { readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { CopyProgress } from './copy-progress.ts';
import { formatCount } from './format.ts';
import { type Found, keysOf } from './key-sources.ts';
import { assertFiles, INTERRUPTED, interruptible, usage } from './options.ts';
import { askOrLook, assertPlace } from './or-store.ts';
import type { Outputs, Screen } from './output.ts';

/** All of the keys, which are of one type, or none. */
type Take = (keys: readonly SigningKey[]) => Promise<ImportReport>;

const CLEAR_LINE = '\r\x1b[K';
const SHOWN_EVERY = { terminal: 1000, elsewhere: 20_000 } as const;

export async function importKeys(args: string[], outputs: Outputs): Promise<number> {
  const { values, positionals: sources } = readArguments(args, {
    command: 'import',
    allowPositionals: true,
    options: OPTIONS.import,
  });
  const { pool, json = false } = values;
  if (pool === undefined) throw usage('import: into which pool? give its name: --pool NAME');
  assertPlace(values);
  assertFiles('import', sources);
  using interrupt = interruptible();
  const batches = new Batches(interrupt.signal, outputs.stderr);
  try {
    if (!(await batches.read(sources))) return INTERRUPTED;
    await askOrLook(
      values,
      (server) =>
        batches.bring((keys) =>
          server.ask(({ admin }) =>
            keys[0]!.keyType === 'seed'
              ? admin.importKeypairs(pool, keys.map(encoded))
              : admin.importExpandedKeys(pool, keys.map(withAddress)),
          ),
        ),
      async (config) => {
        const { importOffline } = await import('../offline/import.ts');
        await importOffline(config, pool, (take) =>
          batches.bring(async (keys) => {
            const { inserted, duplicates } = await take(keys);
            return { imported: inserted, duplicates };
          }),
        );
      },
      outputs,
    );
  } finally {
    batches.wipe();
  }
  const { imported, duplicates, isInterrupted } = batches;
  const known = duplicates === 0 ? '' : `, ${duplicates} known before`;
  const text = json
    ? JSON.stringify({ pool, imported, duplicates })
    : `${imported} imported${known}`;
  await outputs.print(`${text}\n`);
  if (isInterrupted) return INTERRUPTED;
  outputs.stderr.write('What they were read from still holds these keys: remove it.\n');
  return 0;
}

function encoded({ key }: SigningKey): string {
  return encodeBase58(key);
}

function withAddress({ key, publicKey }: SigningKey) {
  return { address: addressOf(publicKey), expandedKey: encodeBase58(key) };
}

/** The keys of all sources, and how far they are in. */
class Batches {
  imported = 0;
  duplicates = 0;
  readonly #keys: SigningKey[] = [];
  /** Where each is from. */
  readonly #places: string[] = [];
  readonly #signal: AbortSignal;
  readonly #stderr: Screen;
  #done = 0;

  constructor(signal: AbortSignal, stderr: Screen) {
    this.#signal = signal;
    this.#stderr = stderr;
  }

  /**
   * Reads and proves all keys: 60 us each, 190 an expanded one. 32 bytes alone are taken for a seed, because
   * whatever comes in has to match the pattern of the pool. False if it was interrupted. Error:
   * KEY_FILE_INVALID.
   */
  async read(sources: readonly string[]): Promise<boolean> {
    const every = this.#stderr.isTTY ? SHOWN_EVERY.terminal : SHOWN_EVERY.elsewhere;
    try {
      for await (const found of keysOf(sources, this.#signal)) {
        if (this.#signal.aborted) return false;
        this.#add(found);
        if (this.#keys.length % every === 0) this.#showRead();
      }
      return true;
    } catch (error) {
      if (this.#signal.aborted) return false;
      throw error;
    } finally {
      if (this.#stderr.isTTY && this.#keys.length >= every) this.#stderr.write(CLEAR_LINE);
    }
  }

  #add({ where, key, reason }: Found): void {
    if (key === undefined) throw new VanityError('KEY_FILE_INVALID', `${where}: ${reason}`);
    this.#keys.push(key);
    this.#places.push(where);
    const first = this.#keys[0]!.keyType;
    if (key.keyType !== first) {
      const remedy = `its key is of the type ${key.keyType}, those before are ${first}; a pool takes one`;
      throw new VanityError('KEY_FILE_INVALID', `${where}: ${remedy}`);
    }
  }

  #showRead(): void {
    const text = `${formatCount(this.#keys.length)} keys read and proved`;
    this.#stderr.write(this.#stderr.isTTY ? CLEAR_LINE + text : `${text}\n`);
  }

  get isInterrupted(): boolean {
    return this.#signal.aborted && this.#done < this.#keys.length;
  }

  /** Those that are not in yet: a batch that failed is brought again. */
  async bring(take: Take): Promise<void> {
    const all = this.#keys.length;
    const progress = new CopyProgress(this.#stderr, 'imported');
    try {
      while (this.#done < all && !this.#signal.aborted) {
        const batch = this.#keys.slice(this.#done, this.#done + IMPORT_LIMIT);
        const { imported, duplicates } = await this.#take(take, batch);
        this.imported += imported;
        this.duplicates += duplicates;
        this.#done += batch.length;
        if (all > IMPORT_LIMIT) progress.at(this.#done, all);
      }
    } finally {
      progress.end();
    }
  }

  wipe(): void {
    for (const { key } of this.#keys) key.fill(0);
  }

  /**
   * Rewrites an error that names a position in the batch to name the file and line, and adds what came in
   * before.
   */
  async #take(take: Take, batch: readonly SigningKey[]): Promise<ImportReport> {
    try {
      return await take(batch);
    } catch (error) {
      if (!(error instanceof VanityError)) throw error;
      const [, index, reason] =
        /^(?:secretKeys|expandedKeys)\[(\d+)\]: (.*);/.exec(error.message) ?? [];
      if (error.code !== 'KEYPAIR_REFUSED' || index === undefined) throw error;
      const place = this.#places[this.#done + Number(index)];
      const before = this.#done === 0 ? 'nothing came in' : `the ${this.#done} keys before are in`;
      throw new VanityError('KEYPAIR_REFUSED', `${place}: ${reason}; ${before}`);
    }
  }
}
