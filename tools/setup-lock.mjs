/**
 * One set-up at a time in one checkout. The lock is a folder with the name of its owner in it, which
 * appears and goes as a whole. The owner touches it every second.
 *
 * One that a killed set-up left is taken over: at once where the system says that its owner is gone,
 * else when nobody has touched it for ten seconds. A process number alone says nothing: in a
 * container each set-up may be process 1. So the owner is identified by boot, PID namespace, number and
 * start time, as Linux gives them. Runs on any Node.js >= 18.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { step } from './steps.mjs';

const BEAT_MS = 1000;
const SILENCE_MS = 10_000;

/** Runs `work` when no other set-up runs here. */
export async function withLock(lock, work) {
  await take(lock);
  const mine = ownerOf(lock);
  const beat = setInterval(() => touch(lock, mine), BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    // A machine that slept for long may find another's there.
    if (ownerOf(lock) === mine) rmSync(lock, { recursive: true, force: true });
  }
}

async function take(lock) {
  const isTaken = taker(lock);
  if (isTaken()) return;
  await step('waiting for another set-up to finish', async () => {
    while (!isTaken()) await sleep(100);
  });
}

/** Each call tries once, and knows what the ones before it saw. */
function taker(lock) {
  let seen;
  return () => {
    if (putInPlace(lock)) return true;
    const owner = ownerOf(lock);
    const state = `${owner} ${statSync(lock, { throwIfNoEntry: false })?.mtimeMs}`;
    if (seen?.state !== state) seen = { state, at: performance.now() };
    if (!(isGone(owner) ?? performance.now() - seen.at > SILENCE_MS)) return false;
    takeAway(lock, owner);
    return putInPlace(lock);
  };
}

/** False if there is one: a folder that is not empty is not replaced. */
function putInPlace(lock) {
  if (existsSync(lock)) return false;
  mkdirSync(dirname(lock), { recursive: true });
  const mine = mkdtempSync(`${lock}.`);
  try {
    writeFileSync(join(mine, 'owner'), JSON.stringify(self()));
    renameSync(mine, lock);
    return true;
  } catch (error) {
    rmSync(mine, { recursive: true, force: true });
    if (error.code === 'ENOTEMPTY' || error.code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Of several that find it abandoned one moves it. One that comes late moves another's, and puts
 * it back.
 */
function takeAway(lock, owner) {
  const aside = mkdtempSync(`${lock}.`);
  try {
    renameSync(lock, aside);
    if (ownerOf(aside) !== owner) renameSync(aside, lock);
  } catch {
    // It went, or is there again: the next look shows.
  }
  rmSync(aside, { recursive: true, force: true });
}

function touch(lock, mine) {
  const now = new Date();
  try {
    if (ownerOf(lock) === mine) utimesSync(lock, now, now);
  } catch {
    // Removing `build` meanwhile ends the lock, not the set-up.
  }
}

function ownerOf(lock) {
  try {
    return readFileSync(join(lock, 'owner'), 'utf8');
  } catch {
    return undefined;
  }
}

/** This process: `scope` is where its number counts, and `start` distinguishes it from earlier ones. */
function self() {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const scope = `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
    return { scope, ...processAt('/proc/self') };
  } catch {
    return { scope: hostname(), pid: process.pid };
  }
}

/**
 * Number and start time (field 22) as this /proc lists them; the name in between may have
 * anything in it.
 */
function processAt(directory) {
  const stat = readFileSync(join(directory, 'stat'), 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { pid: Number.parseInt(stat, 10), start: fields[19] };
}

/** Whether its owner has ended; undefined where the system does not say. */
function isGone(owner) {
  const { scope, pid, start } = parse(owner);
  if (scope !== self().scope) return undefined;
  try {
    if (start !== undefined) return processAt(`/proc/${pid}`).start !== start;
    process.kill(pid, 0);
    return undefined;
  } catch (error) {
    return error.code === 'ENOENT' || error.code === 'ESRCH' ? true : undefined;
  }
}

/** Of nobody, where it is missing, or cut short by a power loss. */
function parse(owner = '') {
  try {
    return JSON.parse(owner) ?? {};
  } catch {
    return {};
  }
}
