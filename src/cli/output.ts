/**
 * Where commands write, and how a process of the command line does: standard output, for every command
 * but `serve`, is checked before a command does anything, and written so that it is known what was
 * not. Main thread.
 *
 * It is written by the system's own call, not by `process.stdout`: that reports a failure later, by
 * an event, and takes a part that was written to a file on a full disk for the whole.
 */
import { fstatSync, fsyncSync, type Stats, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { getSystemErrorName } from 'node:util';
import { ifPossible } from '../disk/synced-writes.ts';
import { VanityError } from '../errors.ts';
import { loadAddon } from '../system/addon.ts';

const STDOUT = 1;
/** Major 1, minor 7: its writes fail, and those of no bytes do not. */
const DEV_FULL = 0x107;
/** For a reader that is slower, where the system does not wait itself. */
const WAIT_MS = 5;

/** Of each command; the command line as a process has PROCESS_OUTPUTS. */
export interface Outputs {
  /** Error: FILE_NOT_WRITABLE; then nothing was done yet. */
  readonly assertOutput: () => void;
  /** What a command finds; written when it resolves. Errors: FILE_NOT_WRITABLE, the reason of `signal`. */
  readonly print: (text: string, signal?: AbortSignal) => Promise<void>;
  /** After what cannot be had again: on disk when it returns, if it is a file. Error: FILE_NOT_WRITABLE. */
  readonly syncOutput: () => void;
  /** Whether what a command finds is shown on a terminal. */
  readonly isTerminal: boolean;
  /** For people: what goes wrong, what to mind, and how far a command is. */
  readonly stderr: Screen;
}

export interface Screen {
  /** A terminal, on which a line can be written anew. */
  readonly isTTY: boolean;
  /** Of a terminal, if it says how wide it is. */
  readonly columns: number;
  write(text: string): unknown;
}

/**
 * Whether something can be written, found without writing anything. Error: FILE_NOT_WRITABLE; then
 * nothing was done yet. A disk that is nearly full is not seen, nor a reader who leaves later.
 */
function assertOutput(): void {
  try {
    const stats = fstatSync(STDOUT);
    // Of a socket nothing may be a message.
    if (!stats.isSocket()) writeSync(STDOUT, '');
    if (process.platform === 'linux' && isFull(stats)) throw systemError('ENOSPC');
    const problem = loadAddon().addon?.outputError(STDOUT) ?? 0;
    if (problem !== 0) throw systemError(getSystemErrorName(problem));
  } catch (error) {
    throw unwritable(error, '; nothing was done');
  }
}

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function isFull(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === DEV_FULL;
}

async function print(text: string, signal?: AbortSignal): Promise<void> {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(STDOUT, bytes, done);
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN') throw unwritable(error);
      await sleep(WAIT_MS, undefined, { signal });
    }
  }
}

/** Some file systems only find out here that they have no room. */
function syncOutput(): void {
  try {
    if (fstatSync(STDOUT).isFile()) ifPossible(() => fsyncSync(STDOUT));
  } catch (error) {
    throw unwritable(error);
  }
}

/** Those of this process. */
export const PROCESS_OUTPUTS: Outputs = {
  assertOutput,
  print,
  syncOutput,
  get isTerminal() {
    return process.stdout.isTTY;
  },
  get stderr() {
    return process.stderr;
  },
};

/** The error of a failed write, for the user. */
export function unwritable(error: unknown, after = ''): VanityError {
  const message = `standard output: cannot be written (${codeOf(error)})${after}`;
  return new VanityError('FILE_NOT_WRITABLE', message);
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
