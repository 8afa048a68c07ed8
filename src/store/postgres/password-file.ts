/**
 * The file in which psql looks for a password: lines of host:port:database:user:password, of which the first that
 * fits counts. `*` is any; a backslash is written before a colon or a backslash. Any thread may use it.
 */
import { statSync } from 'node:fs';
import { readRegular, TEXT_BYTES_MAX } from '../../disk/regular-files.ts';
import { VanityError } from '../../errors.ts';

export interface Place {
  /** The directory of a socket is 'localhost', too. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/** Others may not read it. */
const OPEN_MODE = 0o077;

/** Undefined if none fits, or there is no such file. Error: CONFIG_INVALID. */
export function readPassword(path: string, place: Place): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  if (process.platform !== 'win32' && (stats.mode & OPEN_MODE) !== 0) {
    throw new VanityError('CONFIG_INVALID', `${path}: others can read it: chmod 600 ${path}`);
  }
  return passwordIn(readText(path), place);
}

function readText(path: string): string {
  try {
    return readRegular(path, TEXT_BYTES_MAX).toString();
  } catch (cause) {
    const detail = `${path}: cannot be read: ${(cause as Error).message}`;
    throw new VanityError('CONFIG_INVALID', detail, { cause });
  }
}

function passwordIn(text: string, { host, port, database, user }: Place): string | undefined {
  const hosts = host.startsWith('/') ? [host, 'localhost'] : [host];
  const wanted = [hosts, [String(port)], [database], [user]];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = [...line.matchAll(/(?:^|:)((?:\\.|[^\\:])*)/g)].map(([, field]) => field!);
    const fits = wanted.every((allowed, index) => {
      const field = fields[index];
      return field === '*' || allowed.includes(unescaped(field));
    });
    if (fits && fields.length > wanted.length) return unescaped(fields[wanted.length]);
  }
  return undefined;
}

function unescaped(field = ''): string {
  return field.replace(/\\(.)/g, '$1');
}
