/**
 * Makes a checkout ready to run: dependencies (the right Node.js among them), the native kernel,
 * and the client as JavaScript. Does only what is missing or changed since the last time, so that a
 * second start costs milliseconds. Runs on any Node.js >= 18, from any working directory; two at
 * once are safe, the second waits for the first.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { buildClient } from './build-client.mjs';
import { buildNative } from './build-native.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamp = join(root, 'node_modules', '.vanitypool-lockfile');
const lock = join(root, 'build', 'setup.lock');

await withLock(() => {
  installDependencies();
  buildNative({ quiet: true });
  buildClient();
});

/** `npm ci` when the lock file is not the one that node_modules was made from. */
function installDependencies() {
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const node = join(root, 'node_modules', 'node', 'bin', 'node');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && existsSync(node)) return;
  console.error('vanitypool: installing dependencies (npm ci)');
  // Engine warnings are about the older Node.js that runs npm here; the one it installs is right.
  const { status, error } = spawnSync('npm', ['ci', '--loglevel=error', '--no-progress'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (status !== 0) {
    console.error(`vanitypool: npm ci failed${error ? `: ${error.message}` : ''}`);
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
}

/** A folder is the lock: making it is atomic everywhere. One left by a dead set-up is taken over. */
async function withLock(work) {
  mkdirSync(dirname(lock), { recursive: true });
  for (let waited = false; ; waited = true) {
    try {
      mkdirSync(lock);
      writeFileSync(join(lock, 'pid'), String(process.pid));
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (isAbandoned()) takeAway();
      else if (!waited) console.error('vanitypool: waiting for another set-up to finish');
      await sleep(100);
    }
  }
  try {
    work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

/** Of several that find it abandoned one moves it, so that none removes the lock of another. */
function takeAway() {
  const aside = `${lock}.${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch {
    return;
  }
  rmSync(aside, { recursive: true, force: true });
}

function isAbandoned() {
  try {
    const pid = Number(readFileSync(join(lock, 'pid'), 'utf8'));
    if (pid > 0) process.kill(pid, 0);
    // A process that has the number by now is not the owner: no set-up takes that long.
    return Date.now() - statSync(lock).mtimeMs > (pid > 0 ? 30 * 60_000 : 10_000);
  } catch (error) {
    if (error.code === 'ESRCH') return true;
    // No process id yet: the owner is between its two steps, unless it died there.
    return !existsSync(lock) ? false : Date.now() - statSync(lock).mtimeMs > 10_000;
  }
}
