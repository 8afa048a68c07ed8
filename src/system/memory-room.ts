/**
 * How much memory this process could still take: what the machine has left, and what each control
 * group leaves that the process is in. Any thread may read it; it never fails: what cannot be read is
 * no limit.
 *
 * Pages of files are given back when memory gets scarce, so they count as free; pages of tmpfs and of
 * shared memory are not, though a group counts them with those of files.
 */
import { statfsSync } from 'node:fs';
import { controlGroups, type ReadText, textsBelow } from './control-groups.ts';

export interface Room {
  readonly bytes: number;
  /** What has no more room, for people. */
  readonly of: string;
}

/** The least of all that limit it; `bytes` is infinite where nothing does. */
export function memoryRoom(root = '/'): Room {
  const text = textsBelow(root);
  const machine = kilobytes(text('proc/meminfo'), 'MemAvailable');
  const rooms: Room[] = [{ bytes: machine, of: 'MemAvailable of the machine' }];
  for (const { version, directory } of controlGroups(text, 'memory')) {
    const bytes = version === 2 ? roomOfGroup2(text, directory) : roomOfGroup1(text, directory);
    rooms.push({ bytes, of: `the memory limit of the control group ${directory}` });
  }
  return rooms.reduce((least, room) => (room.bytes < least.bytes ? room : least));
}

/** Bytes left on the file system of that path. */
export function roomOn(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function roomOfGroup2(text: ReadText, directory: string): number {
  const stat = text(directory, 'memory.stat');
  const files = figure(stat, 'file', 0) - figure(stat, 'shmem', 0);
  return left(text(directory, 'memory.max'), text(directory, 'memory.current'), files);
}

function roomOfGroup1(text: ReadText, directory: string): number {
  const stat = text(directory, 'memory.stat');
  const files = figure(stat, 'total_cache', 0) - figure(stat, 'total_shmem', 0);
  const limit = text(directory, 'memory.limit_in_bytes');
  return left(limit, text(directory, 'memory.usage_in_bytes'), files);
}

/** Infinite for the limit "max", and for what cannot be read. */
function left(limit: string, used: string, files: number): number {
  const [most, now] = [limit, used].map((text) => Number.parseInt(text, 10));
  const room = most! - now! + Math.max(files, 0);
  return Number.isNaN(room) ? Number.POSITIVE_INFINITY : Math.max(room, 0);
}

function kilobytes(text: string, name: string): number {
  const found = new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(text)?.[1];
  return found === undefined ? Number.POSITIVE_INFINITY : Number(found) * 1024;
}

function figure(text: string, name: string, otherwise: number): number {
  const found = new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1];
  return found === undefined ? otherwise : Number(found);
}
