/**
 * The token by which the command line of the same user manages a running server: made anew at each
 * start, in a file of the data directory that this user alone can read, gone at the stop. Whoever
 * can read it can read the store and its sealing key, too.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { VanityError } from './errors.ts';
import { writeNewFile } from './files.ts';
import { newToken, tokenHash } from './token.ts';

const FILE = 'admin.token';

export class OwnToken {
  readonly hash: Uint8Array;
  readonly #token = newToken();
  #path: string | undefined;

  constructor() {
    this.hash = tokenHash(this.#token);
  }

  /** Into the data directory, which this process holds. Error: DATA_NOT_WRITABLE. */
  write(directory: string): void {
    const path = join(directory, FILE);
    try {
      rmSync(path, { force: true }); // of a server that was killed
      writeNewFile(path, `${this.#token}\n`);
    } catch (cause) {
      const reason = (cause as Error).message;
      throw new VanityError('DATA_NOT_WRITABLE', `${path}: cannot be written: ${reason}`, {
        cause,
      });
    }
    this.#path = path;
  }

  /** What cannot be removed opens nothing: the token ends with its server, and the next removes it. */
  remove(): void {
    if (this.#path === undefined) return;
    try {
      rmSync(this.#path, { force: true });
    } catch {
      // A stop has more to do, which the disk may still take.
    }
  }
}

/** The token of the server that holds the data directory, if it can be read. */
export function readOwnToken(directory: string): string | undefined {
  try {
    return readFileSync(join(directory, FILE), 'latin1').trim();
  } catch {
    return undefined;
  }
}
