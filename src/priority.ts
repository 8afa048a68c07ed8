/**
 * The priorities of a grinder thread, highest first. Pure.
 *
 * A thread can only lower itself: without privileges nothing raises it again. So another priority is
 * another thread (thread.ts). What each gets beside five busy threads on its core, and how long an
 * ended process waits for it there with ten (Linux 6, kernel/sched/core.c has the weights):
 *
 *     normal  nice 0          16.6 % of the core   no wait
 *     raised  nice 3           9.3 %               no wait
 *     low     nice 15          0.7 %               1 s
 *     idle    SCHED_IDLE       0.1 %               14 s
 */
export const PRIORITIES = ['normal', 'raised', 'low', 'idle'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** As `grind_lower` of native/kernel.h takes it; 20 is SCHED_IDLE. */
export const NICE: Readonly<Record<Priority, number>> = { normal: 0, raised: 3, low: 15, idle: 20 };
