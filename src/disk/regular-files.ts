/**
 * Regular files, and links to them: those that people name, and small ones of our own. Nothing else is
 * waited for. Any thread may use it. Errors are the system's, and those of `openRegular`.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';

/** For a text of one line, and for one that people write. */
export const LINE_BYTES_MAX = 4096;
export const TEXT_BYTES_MAX = 1_048_576;

/** Another program may be at the other end of a FIFO for ever, or nobody; a terminal stays its owner's. */
const AT_ONCE = constants.O_NONBLOCK | constants.O_NOCTTY;
export const READ_AT_ONCE = constants.O_RDONLY | AT_ONCE;

/**
 * Opens what is at `path`, with these flags of open(2), if it is a regular file, or a link to one: a FIFO
 * would be waited for, and a device never ends. Errors say what it is.
 */
export function openRegular(path: string, flags = constants.O_RDONLY): number {
  let file: number;
  try {
    file = openSync(path, flags | AT_ONCE, 0o600);
  } catch (error) {
    const stats = statSync(path, { throwIfNoEntry: false });
    // A socket cannot be opened, nor a FIFO that nobody reads from be written to, nor a directory.
    if (stats !== undefined) assertRegular(stats);
    throw isDangling(path) ? new Error('a link that leads to nothing') : error;
  }
  try {
    assertRegular(fstatSync(file));
    return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

/** What is at a path, or is opened. */
export function assertRegular(stats: Stats): void {
  if (stats.isFile()) return;
  throw new Error(`${kindOf(stats)}; allowed: a regular file, or a link to one`);
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a FIFO';
  return stats.isSocket() ? 'a socket' : 'a device';
}

/** Whether a link is there, and nothing where it leads to. */
export function isDangling(path: string): boolean {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  return isLink && statSync(path, { throwIfNoEntry: false }) === undefined;
}

/** Whether the path leads to what is always empty, by which people say "no file". */
export function isNull(path: string): boolean {
  const [stats, none] = [path, '/dev/null'].map((one) => statSync(one, { throwIfNoEntry: false }));
  return stats?.isCharacterDevice() === true && stats.rdev === none?.rdev;
}

/**
 * The bytes of a regular file. Errors: also for more than `bytesMax`, whatever the file says of its size,
 * and however it grows.
 */
export function readRegular(path: string, bytesMax: number): Buffer {
  const file = openRegular(path);
  try {
    const bytes = Buffer.alloc(bytesMax + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = readSync(file, bytes, length, bytes.length - length, null);
    }
    if (length > bytesMax) throw new Error(`too large; allowed: at most ${bytesMax} bytes`);
    return bytes.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

/** Writes a regular file, mode 0600 if it is new, over what it holds. */
export function writeRegular(path: string, text: string): void {
  const file = openRegular(path, constants.O_WRONLY | constants.O_CREAT);
  try {
    ftruncateSync(file);
    writeFileSync(file, text);
  } finally {
    closeSync(file);
  }
}

/**
 * The text of a file that people write. Editors of some systems put a byte order mark before it, which
 * belongs to no format that we read. Errors as of `readRegular`.
 */
export function readText(path: string, bytesMax = TEXT_BYTES_MAX): string {
  return withoutMark(readRegular(path, bytesMax).toString('utf8'));
}

/** The beginning of such a text, or all of it. */
export function withoutMark(text: string): string {
  return text.startsWith('\uFEFF') ? text.slice(1) : text;
}
