/**
 * A server of somebody else's that a test starts: it is gone when the test's process is, whatever ends
 * that. A shell beside it waits for the end of its standard input, which the system closes; then it kills
 * the server and removes its directory.
 *
 * Databases refuse to be root's: for root both are of a user who owns nothing else.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const NOBODY = 65534;
export const NOT_ROOT = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

const MEMORY = '/dev/shm';
/** What a database fills soon. */
const ROOM_BYTES = 2 ** 30;

/** Each line on its standard input starts the server, once more if it has ended. */
const KEEPER = `trap '' INT TERM HUP PIPE
while read -r _; do "$@" & server=$!; done
if [ "$server" ]; then kill -s "$ENDING" $server; wait $server; fi
rm -rf "$0"`;

export class KeptProcess implements AsyncDisposable {
  /** All that it wrote to standard error. */
  log = '';
  readonly #keeper: ChildProcess;
  readonly #ended: Promise<unknown>;

  /** In `directory`, as of `serverDirectory`, which goes with it; `ending` is what ends the server at once. */
  constructor(directory: string, command: readonly string[], ending: 'QUIT' | 'KILL') {
    this.#keeper = spawn('/bin/sh', ['-c', KEEPER, directory, ...command], {
      cwd: directory,
      env: { PATH: process.env.PATH, ENDING: ending },
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
      ...NOT_ROOT,
    });
    this.#ended = once(this.#keeper, 'exit');
    this.#keeper.stderr!.setEncoding('utf8').on('data', (text) => {
      this.log += text;
    });
  }

  start(): void {
    this.#keeper.stdin!.write('\n');
  }

  /** Waits until it has logged that, beyond what it had logged before `from`. */
  async until(wanted: RegExp, from = 0): Promise<string> {
    for (;;) {
      const found = wanted.exec(this.log.slice(from));
      if (found !== null) return found[0];
      await once(this.#keeper.stderr!, 'data');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#keeper.stdin!.end();
    await this.#ended;
  }
}

/** In memory if there is room, where a sync costs nothing. */
export function serverDirectory(): string {
  const directory = mkdtempSync(join(placeInMemory() ?? tmpdir(), 'vanitypool-server-'));
  if ('uid' in NOT_ROOT) chownSync(directory, NOBODY, NOBODY);
  return directory;
}

/** One of `serverDirectory`. */
export function isInMemory(directory: string): boolean {
  return dirname(directory) === MEMORY;
}

function placeInMemory(): string | undefined {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    return bavail * bsize > ROOM_BYTES ? MEMORY : undefined;
  } catch {
    return undefined;
  }
}
