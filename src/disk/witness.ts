/**
 * The second witness of a store: the number of the last commit that took effect, kept outside the
 * data directory. Runs in the thread that has the store open.
 *
 *   $XDG_STATE_HOME/vanitypool/<store id>/<place>, else ~/.local/state/vanitypool/...
 *
 * It recognises what the anchor cannot: a data directory that was rolled back as a whole, in its
 * place, by a tool that restores names, too. It is written and synced after a commit and before
 * that takes effect, so it is never ahead of an honest store; a start refuses only a store that it
 * is ahead of. Where it is missing, unreadable or cannot be written, the store goes on without it.
 *
 * The file is two slots of 32 bytes, written in turns: one that is cut off leaves the other.
 *
 *   "<number, 16 digits> <'-', or 'm' for a store that was moved away> <crc32 of both, 8 hex>    \n"
 */
import { closeSync, constants, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { crc32 } from 'node:zlib';
import { triedAgain } from './reads.ts';
import { LINE_BYTES_MAX, readRegular } from './regular-files.ts';
import { makeDirectory, syncDirectory } from './synced-writes.ts';

const SLOT_BYTES = 32;
const SLOT = /^(\d{16}) ([-m]) ([0-9a-f]{8}) {4}\n$/;

/** What a witness says. */
export interface Testimony {
  /** Of the last commit that took effect. */
  readonly number: number;
  /** The store went on at another place: what is here is not to be served. */
  readonly isMoved: boolean;
}

/**
 * Where witnesses lie; undefined if that is in `dataDirectory`, and would be lost with it, or if the user has
 * no home directory.
 */
export function witnessDirectory(
  dataDirectory: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  const given = env.XDG_STATE_HOME ?? '';
  const home = isAbsolute(given) ? undefined : homeDirectory();
  const state = home === undefined ? given : join(home, '.local', 'state');
  const directory = join(state, 'vanitypool');
  const from = relative(dataDirectory, directory);
  const isInside = from.split(sep)[0] !== '..' && !isAbsolute(from);
  return isInside || !isAbsolute(directory) ? undefined : directory;
}

/** '' for a user without one. */
function homeDirectory(): string {
  try {
    return homedir();
  } catch {
    return '';
  }
}

export function witnessPath(directory: string, storeId: string, place: string): string {
  return join(directory, storeId, place);
}

/** Undefined where there is none, or none that can be read. */
export function readWitness(path: string): Testimony | undefined {
  let bytes: Buffer;
  try {
    bytes = triedAgain(() => readRegular(path, LINE_BYTES_MAX));
  } catch {
    return undefined;
  }
  const found = [0, SLOT_BYTES].flatMap((at) =>
    parse(bytes.toString('latin1', at, at + SLOT_BYTES)),
  );
  return found.sort((a, b) => b.number - a.number || Number(b.isMoved) - Number(a.isMoved))[0];
}

/** Puts a witness in the place of whatever is there. Errors are the system's. */
export function replaceWitness(path: string, testimony: Testimony): void {
  rmSync(path, { force: true });
  using witness = new Witness(path);
  witness.write(testimony);
}

/** The same. One that cannot be written is missing later: then it says nothing. */
export function replaceIfPossible(path: string, testimony: Testimony): void {
  try {
    replaceWitness(path, testimony);
  } catch {
    // Older states of the store are detected by its anchor, too.
  }
}

/** One that can be written again and again. */
export class Witness implements Disposable {
  readonly #file: number;

  /** Makes the file if it is missing. Errors are the system's. */
  constructor(path: string) {
    makeDirectory(dirname(path));
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    this.#file = openSync(path, flags, 0o600);
    try {
      syncDirectory(dirname(path));
    } catch (error) {
      closeSync(this.#file);
      throw error;
    }
  }

  /** On disk when this returns. Errors are the system's. */
  write({ number, isMoved }: Testimony): void {
    const said = `${String(number).padStart(16, '0')} ${isMoved ? 'm' : '-'}`;
    const slot = Buffer.from(`${said} ${sumOf(said)}    \n`, 'latin1');
    const at = (number % 2) * SLOT_BYTES;
    const written = writeSync(this.#file, slot, 0, SLOT_BYTES, at);
    if (written !== SLOT_BYTES) throw new Error(`${written} of ${SLOT_BYTES} bytes were written`);
    fdatasyncSync(this.#file);
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}

function parse(slot: string): Testimony[] {
  const [, digits, mark, sum] = SLOT.exec(slot) ?? [];
  if (digits === undefined || sum !== sumOf(`${digits} ${mark}`)) return [];
  return [{ number: Number(digits), isMoved: mark === 'm' }];
}

function sumOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}
