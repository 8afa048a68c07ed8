/**
 * `vanitypool export`: many addresses out of a pool, as keypair files, or as lines of one file. A hand-out, in batches: the
 * rows of a batch are dispensed on disk before its first file is written. A server in `leased` mode
 * answers a moment earlier, so it is asked what became of the batch. Room for its files is looked for
 * before a batch is taken, and each has an idempotency key of its own, by which `dispense` gets it again.
 * SIGINT, SIGTERM and SIGHUP end it between two batches, with 130.
 */

import { rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DispensedAddress } from '../api/dispense.ts';
import { randomKey } from '../client/call.ts';
import { COUNT_MAX } from '../config/pool-settings.ts';
import { VanityError } from '../errors.ts';
import { writeKeyFile } from '../keypair/key-file.ts';
import { readArguments } from './arguments.ts';
import { FORMATS, OPTIONS } from './command-options.ts';
import {
  type Around,
  again,
  type HandOut,
  NO_ADDRESS,
  readFormat,
  take,
  writeFiles,
} from './hand-out.ts';
import { prepareDirectory } from './key-directory.ts';
import { adviceOf, advised, INTERRUPTED, interruptible, readWhole, usage } from './options.ts';
import { assertPlace } from './or-store.ts';
import type { Outputs } from './output.ts';
import type { ServerClient } from './server-client.ts';

const ALL_MAX = 1_000_000;
/** Turns record what left every 100 ms. */
const LOOK_MS = 50;
/** After an interrupt: a store that works has recorded it long before. */
const LAST_LOOKS = 100;

export async function exportKeys(args: string[], outputs: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'export',
    options: OPTIONS.export,
  });
  const { pool, count: text, out, json = false } = values;
  if (pool === undefined) throw usage('export: out of which pool? give its name: --pool NAME');
  if (text === undefined) throw usage('export: how many? give their number: --count N');
  const format = readFormat(values.format, FORMATS);
  if (out === undefined) throw usage(`export: where to? ${WHERE_TO[format]}`);
  assertPlace(values);
  const count = readWhole('--count', text, 1, ALL_MAX);
  if (format === 'lines') makeLinesFile(out, outputs);
  let handOut: HandOut | undefined;
  using interrupt = interruptible(() => (handOut === undefined ? '' : again(handOut)));
  const { signal } = interrupt;
  const around: Around = {
    before: assertMayLook,
    after: (server, batch) => untilRecorded(server, batch, signal),
  };
  for (let done = 0; done < count; ) {
    if (signal.aborted) return INTERRUPTED;
    const size = Math.min(COUNT_MAX, count - done);
    handOut = { pool, count: size, key: randomKey(), place: values, out, format };
    try {
      if (format === 'lines') prepareDirectory(dirname(out), filesOf(size), outputs.stderr, false);
      else prepareDirectory(out, size, outputs.stderr, done === 0);
      await writeFiles(handOut, await take(handOut, outputs, around), json, outputs);
    } catch (error) {
      if (format === 'lines' && done === 0) removeIfEmpty(out);
      throw done === 0 ? error : told(error, done);
    }
    handOut = undefined;
    done += size;
  }
  return 0;
}

const WHERE_TO = {
  json: 'give a directory: --out DIR',
  base58: 'give a directory: --out DIR',
  lines: 'give the name of a new file: --out FILE',
} as const;

/** In which a line of 300 characters takes as much room as a small file does of most disks. */
const filesOf = (lines: number) => Math.ceil(lines / 13);

/** Before anything is taken. Errors: FILE_EXISTS, FILE_NOT_WRITABLE. */
function makeLinesFile(path: string, { stderr }: Outputs): void {
  prepareDirectory(dirname(path), 1, stderr);
  writeKeyFile(path, '');
}

function removeIfEmpty(path: string): void {
  if (statSync(path).size === 0) rmSync(path);
}

/** Before anything is taken. Errors: TOKEN_REQUIRED, SCOPE_REQUIRED. */
async function assertMayLook(server: ServerClient): Promise<void> {
  try {
    await server.ask(({ admin }) => admin.address(NO_ADDRESS));
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ADDRESS_NOT_FOUND') throw error;
  }
}

/** One turn records all of a reply. A store that fails is waited for: the addresses have left. */
async function untilRecorded(
  server: ServerClient,
  addresses: readonly DispensedAddress[],
  signal: AbortSignal,
): Promise<void> {
  const { address } = addresses.at(-1)!;
  for (let left = LAST_LOOKS; ; ) {
    const { state } = await server.ask(({ admin }) => admin.address(address));
    if (state === 'dispensed') return;
    if (signal.aborted && left-- === 0)
      throw new VanityError(
        'STORE_UNAVAILABLE',
        `${addresses.length} were handed out and not written`,
      );
    await sleep(LOOK_MS);
  }
}

function told(error: unknown, done: number): unknown {
  if (!(error instanceof VanityError)) return error;
  const message = `${error.message}; ${done} were written before`;
  return advised(new VanityError(error.code, message, { cause: error }), adviceOf(error));
}
