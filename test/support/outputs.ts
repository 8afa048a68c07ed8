/**
 * Commands whose standard output cannot be written, as a shell makes them: real processes, real
 * descriptors, and disks of a few pages that are mounted for one command.
 */
import assert from 'node:assert/strict';
import { delimiter, dirname, join } from 'node:path';
import { type Outcome, PROGRAM, type RunOptions, vanitypool } from './cli.ts';
import { ownDisk } from './namespaces.ts';

/** A shell that runs the command line as `"$0" "$@"`. */
export function shell(
  script: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  return vanitypool(['-c', script, PROGRAM, ...args], { ...options, program: 'bash' });
}

/** The same with a disk at `place`. */
export function shellWithDisk(
  mount: { readonly place: string; readonly options: string },
  script: string,
  args: readonly string[],
  options: RunOptions,
): Promise<Outcome> {
  const [program, ...before] = ownDisk(mount.options, mount.place);
  const all = [...before, 'bash', '-c', script, PROGRAM, ...args];
  return vanitypool(all, { ...options, program: program! });
}

/** What nobody can read any more, always: not when the reader happens to be gone already. */
const NO_READER = 'd=$(mktemp -d) && mkfifo "$d/f" && exec 3<>"$d/f" 4>"$d/f" 3>&- && rm -r "$d"';

/** By the error that a write meets, each way to leave a command without an output. */
export const BROKEN: readonly (readonly [code: string, script: string])[] = [
  ['ENOSPC', '"$0" "$@" > /dev/full'],
  ['EBADF', '"$0" "$@" >&-'],
  ['EBADF', '"$0" "$@" 1< /dev/null'],
  ['EPIPE', `${NO_READER} && "$0" "$@" >&4`],
];

/** The command that an error names, typed. */
export async function asTold(stderr: string, options: RunOptions): Promise<Outcome> {
  const [, command] = /^ {2}(vanitypool .*)$/m.exec(stderr) ?? assert.fail(stderr);
  const path = `${dirname(PROGRAM)}${delimiter}${process.env.PATH}`;
  const env = { ...options.env, PATH: path };
  return vanitypool(['-c', command!], { ...options, env, program: 'sh' });
}

export const diskIn = (directory: string, options: string) => ({
  place: join(directory, 'disk'),
  options,
});
