/**
 * Makes a checkout ready to run: dependencies, the right Node.js (`build/node`), the native kernel,
 * and the client and the dashboard as JavaScript. Does only what is missing or changed since the last time, so that a
 * second start costs milliseconds. Runs on any Node.js >= 18, from any working directory, whatever
 * npm leaves out by its settings; two at once are safe, the second waits for the first.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildClient } from './build-client.mjs';
import { buildDashboard } from './build-dashboard.mjs';
import { buildNative } from './build-native.mjs';
import { withLock } from './setup-lock.mjs';
import { run, say, step } from './steps.mjs';

const NODE_MIN = 24;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const stamp = join(modules, '.vanitypool-lockfile');
const link = join(root, 'build', 'node');

process.exitCode = await withLock(join(root, 'build', 'setup.lock'), async () => {
  if (!(await installDependencies()) || !chooseNode()) return 1;
  await buildNative();
  await buildClient();
  await buildDashboard();
  return 0;
}).catch(unwritable);

/** Of a checkout that others own, or an image that is read-only: what was set up before serves. */
function unwritable(error) {
  if (!['EACCES', 'EPERM', 'EROFS'].includes(error.code)) throw error;
  if (isInstalled() && versionOf(link) >= NODE_MIN) return 0;
  say(
    `cannot write in ${root} (${error.code}), and it is not set up: run 'npm run setup' there once ` +
      'as a user who can',
  );
  return 1;
}

/** `npm ci` when the lock file is not the one that node_modules was made from, or npm has changed it since. */
async function installDependencies() {
  if (isInstalled()) return true;
  // Development dependencies build the client. No package of the lock file needs a script. Engine
  // warnings are about the older Node.js that runs npm here; the one that is chosen is right.
  const all = ['--include=dev', '--include=optional', '--ignore-scripts'];
  const { status, error } = await step('installing dependencies (npm ci), once', () =>
    run('npm', ['ci', ...all, '--loglevel=error', '--no-progress'], {
      cwd: root,
      stdio: ['ignore', 2, 2],
    }),
  );
  if (status !== 0) {
    say(`npm ci failed${error ? `: ${error.message}` : ''}`);
    return false;
  }
  writeFileSync(stamp, dependencies());
  return true;
}

function isInstalled() {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === dependencies();
}

/** What is wanted, and what npm notes in node_modules of what it did. */
function dependencies() {
  const hash = createHash('sha256').update(readFileSync(join(root, 'package-lock.json')));
  const made = join(modules, '.package-lock.json');
  if (existsSync(made)) hash.update(readFileSync(made));
  return hash.digest('hex');
}

/**
 * Links `build/node` to the Node.js that runs the program: the one that npm installed, where it runs
 * (it does not with another C library than glibc), else one of the machine that is new enough.
 */
function chooseNode() {
  const own = join(modules, `node-${process.platform}-${process.arch}`, 'bin', 'node');
  if (versionOf(own) !== undefined) return linkTo(relative(dirname(link), own));
  // npm puts it in front of PATH, where it would hide one that runs.
  rmSync(join(modules, '.bin', 'node'), { force: true });
  if (versionOf(link) >= NODE_MIN) return true;
  const found = [process.execPath, ...nodesInPath()].find((node) => versionOf(node) >= NODE_MIN);
  if (found !== undefined) {
    say(`npm has no Node.js that runs on this system: using ${found}`);
    return linkTo(found);
  }
  const machine = `${process.platform} ${process.arch}`;
  say(
    `needs Node.js ${NODE_MIN} or newer: npm has none that runs on this system (${machine}), and ` +
      `PATH has none (this is ${process.versions.node}); install one and try again`,
  );
  return false;
}

function nodesInPath() {
  return (process.env.PATH ?? '').split(delimiter).map((directory) => join(directory, 'node'));
}

/** Its major version; undefined if it does not run. */
function versionOf(node) {
  if (!existsSync(node)) return undefined;
  const { status, stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  return status === 0 ? Number.parseInt(stdout.slice(1), 10) : undefined;
}

function linkTo(node) {
  mkdirSync(dirname(link), { recursive: true });
  const made = `${link}.${process.pid}`;
  rmSync(made, { force: true });
  symlinkSync(node, made);
  renameSync(made, link);
  return true;
}
