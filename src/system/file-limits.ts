/**
 * How many file descriptors this process may have, and how many a server needs beside its pools and its
 * connections. Any thread may read it; it never fails: what cannot be read is no limit.
 *
 * Node.js raises the soft limit to the hard one as it starts, so what is read here is what holds.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { textsBelow } from './control-groups.ts';

/** The store thread, the database twice, its locks and its witness: 17. */
const OF_STORE = 20;
/** An event loop takes 5, a listening socket one. */
const OF_HTTP_THREAD = 7;
/** Twice an event loop: one of another priority begins before the one before has ended. */
const OF_GRINDER_THREAD = 10;
/** The reader with its database, a backup that is made and sent, the pipes of a check. */
const OF_READER = 24;
/** What is open for a moment: certificates, the witness, parts that are made. */
const SPARE = 16;

/** RLIMIT_NOFILE. `root` is where /proc is looked for. */
export function fileLimit(root = '/'): number {
  const soft = /^Max open files\s+(\d+)\s/m.exec(textsBelow(root)('proc/self/limits'))?.[1];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}

/** In the main thread, before any other is started. */
export function filesOfServer(
  { httpThreads, grinderThreads }: { httpThreads: number; grinderThreads: number },
  root = '/',
): number {
  const ofThreads = OF_HTTP_THREAD * httpThreads + OF_GRINDER_THREAD * grinderThreads;
  return openFiles(root) + OF_STORE + ofThreads + OF_READER + SPARE;
}

function openFiles(root: string): number {
  try {
    return readdirSync(join(root, 'proc/self/fd')).length;
  } catch {
    return 0;
  }
}
