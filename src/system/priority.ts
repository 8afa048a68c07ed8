/**
 * The priorities of a grinder thread, highest first, and that of the process.
 *
 * A thread can only lower itself: without privileges nothing raises it again. So another priority is
 * another thread (thread.ts). What each gets beside five busy threads on its core, and how long an
 * ended process waits for it there with ten (Linux 6, kernel/sched/core.c has the weights):
 *
 *     normal  nice 0          16.6 % of the core   no wait
 *     raised  nice 3           9.3 %               no wait
 *     low     nice 15          0.7 %               0.7 s
 *     idle    SCHED_IDLE       0.1 %               11 s
 */
import { readFileSync } from 'node:fs';
import { getPriority } from 'node:os';

export const PRIORITIES = ['normal', 'raised', 'low', 'idle'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** As `grind_lower` of native/kernel.h takes it; 20 is SCHED_IDLE. */
export const NICE: Readonly<Record<Priority, number>> = { normal: 0, raised: 3, low: 15, idle: 20 };

/** Field 41 of /proc/PID/stat; the name, which comes second, may hold spaces (proc(5)). */
const POLICY_FIELD = 41 - 3;
const SCHED_IDLE = '5';

/**
 * What the main thread was started with, as in `NICE`: no thread gets above it. A server that was
 * started lower, with `nice` or `chrt --idle`, stays there.
 */
export function ownNice(): number {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[POLICY_FIELD] === SCHED_IDLE) return NICE.idle;
  } catch {
    // Not Linux.
  }
  return getPriority();
}
