/**
 * Whether RLIMIT_AS and RLIMIT_DATA leave what threads are going to reserve: V8 ends the process with a
 * stack where it gets less. Both count what is reserved, not what is used, and that is much more: each
 * thread of Node.js reserves half a gigabyte and touches 10 MB of it. Any thread may look; what cannot
 * be read is no limit.
 *
 * What the process has by then is read, and the launcher (bin/vanitypool) has looked whether Node.js
 * itself can start.
 */

import { VanityError } from '../errors.ts';
import { textsBelow } from './control-groups.ts';

export interface Reserving {
  /** Of Node.js. */
  readonly threads: number;
  /** Some of them grind: the largest table. */
  readonly hasTable: boolean;
  /** Beside those: what is shared between threads. */
  readonly bytes?: number;
}

const MIB = 2 ** 20;
const TABLE_MIB = 288;
/** Memory of the C library for threads that have not asked for any yet. */
const ARENAS_MIB = 256;
/** As measured, and a little more. */
const LIMITS = [
  { name: 'RLIMIT_AS', line: 'Max address space', now: 'VmSize', threadMib: 620, option: '-v' },
  { name: 'RLIMIT_DATA', line: 'Max data size', now: 'VmData', threadMib: 545, option: '-d' },
] as const;

/** Before threads are started. Error: SYSTEM_LIMIT_REACHED, with the figures. */
export function assertMemory(reserving: Reserving, whose: string, root = '/'): void {
  const text = textsBelow(root);
  const limits = text('proc/self/limits');
  const status = text('proc/self/status');
  const { threads, hasTable, bytes = 0 } = reserving;
  const more = ARENAS_MIB + (hasTable ? TABLE_MIB : 0) + bytes / MIB;
  for (const { name, line, now, threadMib, option } of LIMITS) {
    const limit = new RegExp(`^${line}\\s+(\\d+)\\s`, 'm').exec(limits)?.[1];
    const has = new RegExp(`^${now}:\\s*(\\d+) kB`, 'm').exec(status)?.[1];
    if (limit === undefined || has === undefined) continue;
    const needed = Math.ceil(Number(has) / 1024 + more + threadMib * threads);
    const limitMib = Math.floor(Number(limit) / MIB);
    if (needed <= limitMib) continue;
    throw new VanityError(
      'SYSTEM_LIMIT_REACHED',
      `${whose}: ${needed} MiB are reserved, ${threadMib} for each thread, and ${name} is ${limitMib} MiB; ` +
        `raise it (ulimit ${option} unlimited), or take fewer threads`,
    );
  }
}
