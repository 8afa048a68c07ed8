/**
 * How many more threads the system gives this process: by `pids.max` of its control groups, and by
 * RLIMIT_NPROC of its user. The main thread compares it with what it is about to need, before anything
 * starts a thread of which C aborts the process where there is none: libuv's pool. Others may take
 * what was free a moment ago, so a thread may still be refused afterwards (threads.ts).
 *
 * Never fails: what cannot be read is no limit.
 */
import { readdirSync } from 'node:fs';
import { VanityError } from '../errors.ts';
import { controlGroups, type ReadText, textsBelow } from './control-groups.ts';

/** What is left of the limit that leaves the least. */
export interface ThreadRoom {
  /** Infinite without any limit. */
  readonly threads: number;
  /** Which limit it is, and its figures. */
  readonly limit: string;
}

/** A process of Node.js that does nothing: its main thread, V8's workers, and their timer. */
export const NODE_THREADS = 6;
/** Each has its own bit in CapEff. A process with either is not bound by RLIMIT_NPROC. */
const CAP_SYS_ADMIN = 1n << 21n;
const CAP_SYS_RESOURCE = 1n << 24n;
const POOL_DEFAULT = 4;
const POOL_MAX = 1024;

/** Threads of libuv's pool, which the first that uses it starts, all at once. */
export function poolThreads(asked = process.env.UV_THREADPOOL_SIZE): number {
  if (asked === undefined) return POOL_DEFAULT;
  // As C reads it: what is no number is 0, and that becomes 1.
  return Math.min(Math.max(Number.parseInt(asked, 10) || 0, 1), POOL_MAX);
}

/** `root` is where /proc and /sys are looked for. */
export function threadRoom(root = '/'): ThreadRoom {
  const text = textsBelow(root);
  const ofUser = roomOfUser(text, root);
  const all = [...roomsOfGroups(text), ...(ofUser === undefined ? [] : [ofUser])];
  const none: ThreadRoom = { threads: Number.POSITIVE_INFINITY, limit: 'no limit' };
  return all.reduce((least, one) => (one.threads < least.threads ? one : least), none);
}

/**
 * Before `needed` threads are started; `whose` says what for. Error: SYSTEM_LIMIT_REACHED, with the
 * limit and its figures.
 */
export function assertThreads(needed: number, whose: string, room = threadRoom()): void {
  if (needed <= room.threads) return;
  throw new VanityError(
    'SYSTEM_LIMIT_REACHED',
    `${whose}: ${needed} more threads are needed, and ${room.limit}, so ${room.threads} can be had; ` +
      'raise that limit (docker run --pids-limit, TasksMax= of systemd, ulimit -u)',
  );
}

function roomsOfGroups(text: ReadText): ThreadRoom[] {
  return controlGroups(text, 'pids').flatMap(({ directory }) => {
    const max = wholeIn(text(directory, 'pids.max'));
    const used = wholeIn(text(directory, 'pids.current'));
    if (max === undefined || used === undefined) return [];
    return [roomOf(`${directory}/pids.max`, max, used)];
  });
}

function roomOfUser(text: ReadText, root: string): ThreadRoom | undefined {
  const soft = /^Max processes\s+(\d+)\s/m.exec(text('proc/self/limits'))?.[1];
  const status = text('proc/self/status');
  const user = userOf(status);
  if (soft === undefined || user === undefined || isExempt(user, status, text)) return undefined;
  return roomOf('RLIMIT_NPROC', Number(soft), threadsOf(user, text, root));
}

/** The system's own root, or one who may exceed limits. In a namespace of users neither counts. */
function isExempt(user: string, status: string, text: ReadText): boolean {
  if (!/^\s*0\s+0\s+4294967295\s*$/.test(text('proc/self/uid_map'))) return false;
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return user === '0' || (effective & (CAP_SYS_ADMIN | CAP_SYS_RESOURCE)) !== 0n;
}

/** Of all processes of a user that can be seen: the limit counts them together. */
function threadsOf(user: string, text: ReadText, root: string): number {
  let threads = 0;
  for (const name of processesIn(root)) {
    const status = text('proc', name, 'status');
    if (userOf(status) === user) threads += Number(/^Threads:\s*(\d+)$/m.exec(status)?.[1] ?? 0);
  }
  return threads;
}

function processesIn(root: string): string[] {
  try {
    return readdirSync(`${root}/proc`).filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

/** The real one. */
function userOf(status: string): string | undefined {
  return /^Uid:\s*(\d+)\s/m.exec(status)?.[1];
}

function roomOf(name: string, max: number, used: number): ThreadRoom {
  return { threads: Math.max(0, max - used), limit: `${name} is ${max} with ${used} in use` };
}

function wholeIn(text: string): number | undefined {
  return /^\d+\s*$/.test(text) ? Number(text) : undefined;
}
