/**
 * The addon that a package compiles for itself where none that it brings works: once, by the
 * machine's own compiler, into the user's cache directory (`$XDG_CACHE_HOME/vanitypool`, else
 * `~/.cache/vanitypool`). Its name is the hash of its sources, so another version compiles another.
 *
 * It is code that runs in this process: so it is used only if nobody but its user or root could have
 * written it. Nothing here runs in a checkout, whose set-up builds the addon.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A package holds compiled sources alone. */
export const IS_PACKAGE = import.meta.url.endsWith('.js');

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The addon of these sources in the user's cache directory, if it is there and can be trusted. */
export function addonInCache(): string | undefined {
  const path = cachePath();
  if (path === undefined) return undefined;
  return [dirname(path), path].every(isOurs) ? path : undefined;
}

/** Compiles it. Messages of the compiler go to standard error; false if it cannot be made. */
export function compileIntoCache(): boolean {
  const path = cachePath();
  if (path === undefined) return false;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  } catch {
    return false;
  }
  if (!isOurs(dirname(path))) return false;
  const script = join(ROOT, 'tools', 'build-native.mjs');
  const { status } = spawnSync(process.execPath, [script, path], { stdio: ['ignore', 2, 2] });
  return status === 0;
}

function cachePath(): string | undefined {
  const { XDG_CACHE_HOME: named = '' } = process.env;
  const cache = isAbsolute(named) ? named : join(homedir(), '.cache');
  if (!isAbsolute(cache)) return undefined;
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`);
  const sources = join(ROOT, 'native');
  try {
    for (const name of readdirSync(sources).sort()) {
      hash.update(name).update(readFileSync(join(sources, name)));
    }
  } catch {
    return undefined;
  }
  const name = `kernel-${hash.digest('hex').slice(0, 32)}.node`;
  return join(cache, 'vanitypool', name);
}

/** Whether nobody but this user or root can change it. */
function isOurs(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.isSymbolicLink()) return false;
  return [0, process.getuid?.()].includes(found.uid) && (found.mode & 0o022) === 0;
}
