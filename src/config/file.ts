/**
 * The configuration file: TOML becomes settings by key, pools and webhooks. What they may be is no matter here.
 * Any thread may use it.
 */
import { resolve } from 'node:path';
import { parse as parseToml, type TomlError } from 'smol-toml';
import { isNull, readText } from '../disk/regular-files.ts';
import { VanityError } from '../errors.ts';

/** Values by key as in the file: `{ 'http.port': 5057 }`. Flags come in this form too. */
export type Settings = Readonly<Record<string, unknown>>;

export interface ReadFile {
  /** False also for `/dev/null`. */
  readonly isThere: boolean;
  readonly settings: Settings;
  readonly pools: unknown;
  readonly webhooks: unknown;
}

const NO_FILE: ReadFile = { isThere: false, settings: {}, pools: undefined, webhooks: undefined };

/** `vanitypool.toml` in `cwd`, which need not be there, unless a file is named. Error: CONFIG_UNREADABLE. */
export function readFile(file: string | undefined, cwd: string): ReadFile {
  const path = resolve(cwd, file ?? 'vanitypool.toml');
  let source: string;
  try {
    if (isNull(path)) return NO_FILE;
    source = readText(path);
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    if (missing && file === undefined) return NO_FILE;
    const reason = missing ? 'there is no such file' : (cause as Error).message;
    throw new VanityError('CONFIG_UNREADABLE', `${path}: ${reason}`, { cause });
  }
  let parsed: Record<string, unknown>;
  try {
    parsed = parseToml(source);
  } catch (cause) {
    // Its other lines repeat those of the file, and a secret may be among them.
    const { message, line, column } = cause as TomlError;
    const [reason = ''] = message.replace('Invalid TOML document: ', '').split('\n');
    const detail = `${path}: line ${line}, column ${column}: ${reason}`;
    throw new VanityError('CONFIG_UNREADABLE', detail, { cause });
  }
  const { pools, webhooks, ...sections } = parsed;
  const settings: Record<string, unknown> = {};
  for (const [name, section] of Object.entries(sections)) {
    if (!isTable(section)) settings[name] = section;
    else for (const [key, value] of Object.entries(section)) settings[`${name}.${key}`] = value;
  }
  return { isThere: true, settings, pools, webhooks };
}

export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
