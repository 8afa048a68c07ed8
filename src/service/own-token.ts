/**
 * How the command line of the same user finds a running server and manages it: two files of the data
 * directory that this user alone can read, recreated at each start, removed at the stop.
 *
 *   admin.token    a token for everything. Anyone who can read it can read the store and its key, too
 *   server.json    where the server listens, and which directory that is
 *
 * A kill leaves both. So what `server.json` says is a hint: it counts while a process holds the directory,
 * where that can be determined, and the server that accepts the token is the one that serves the
 * directory, and no other does.
 */
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isHeld } from '../disk/held.ts';
import { LINE_BYTES_MAX, readRegular, readText } from '../disk/regular-files.ts';
import { syncName, writeNewFile } from '../disk/synced-writes.ts';
import { VanityError } from '../errors.ts';
import { newToken, tokenHash } from '../token.ts';

const TOKEN_FILE = 'admin.token';
const SERVER_FILE = 'server.json';

export interface ListensAt {
  /** `http://127.0.0.1:5057`, or `unix:PATH`. */
  readonly url: string;
  /** The path of its certificate; null without TLS. */
  readonly certificate: string | null;
}

export class OwnToken {
  readonly hash: Uint8Array;
  readonly #token = newToken();
  #written: string[] = [];

  constructor() {
    this.hash = tokenHash(this.#token);
  }

  /** Into the data directory, which this process holds. Error: DATA_NOT_WRITABLE. */
  write(directory: string, { url, certificate }: ListensAt): void {
    this.#write(directory, TOKEN_FILE, () => this.#token);
    this.#write(directory, SERVER_FILE, () =>
      JSON.stringify({ url, certificate, directory: identityOf(directory) }),
    );
  }

  /** What cannot be removed opens nothing: the token ends with its server, and the next removes it. */
  remove(): void {
    for (const path of this.#written) {
      try {
        rmSync(path, { force: true });
      } catch {
        // A stop has more to do, which the disk may still take.
      }
    }
  }

  #write(directory: string, name: string, text: () => string): void {
    const path = join(directory, name);
    try {
      rmSync(path, { force: true }); // of a server that was killed
      writeNewFile(path, `${text()}\n`);
      this.#written.push(path);
      syncName(path);
    } catch (cause) {
      const reason = (cause as Error).message;
      throw new VanityError('DATA_NOT_WRITABLE', `${path}: cannot be written: ${reason}`, {
        cause,
      });
    }
  }
}

/** The token of the server that holds the data directory, if it can be read. */
export function readOwnToken(directory: string): string | undefined {
  try {
    return readRegular(join(directory, TOKEN_FILE), LINE_BYTES_MAX).toString('latin1').trim();
  } catch {
    return undefined;
  }
}

/**
 * Where the server of the data directory listens; undefined in a copy, and when nobody holds the directory:
 * whatever listens there now is another program. Where that cannot be determined, it may be that of
 * a killed server.
 */
export function readListensAt(directory: string): ListensAt | undefined {
  if (isHeld(directory) === false) return undefined;
  try {
    const text = readText(join(directory, SERVER_FILE));
    const { directory: written, ...listensAt } = JSON.parse(text);
    return written === identityOf(directory) ? listensAt : undefined;
  } catch {
    return undefined;
  }
}

/** Of all directories that there are now; a copy, and what was put back, is another. */
function identityOf(directory: string): string {
  const { dev, ino } = statSync(directory, { bigint: true });
  return `${dev}:${ino}`;
}
