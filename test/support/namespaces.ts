/**
 * Servers in namespaces of their own, for tests: with another memory at /dev/shm than the host's,
 * and with process numbers of their own, as in a container. What is mounted there goes with the
 * last process. Needs Linux, root and `unshare`; where one of them is missing a test says so.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Server } from './server.ts';

/** Why a server cannot have a namespace of its own here; undefined if it can. */
export function noNamespaces(): string | undefined {
  if (process.platform !== 'linux') return 'namespaces are of Linux';
  if (process.getuid!() !== 0) return 'only root may mount';
  const { status } = spawnSync(...split(ownMemory('1m', 'true')), { stdio: 'ignore' });
  return status === 0 ? undefined : '`unshare --mount --pid`, or a mount in it, is refused here';
}

/** The same for the options of a test that `.ci/run` does not skip. */
export function withoutNamespaces(): string | false {
  return process.env.VANITYPOOL_EMULATE !== '1' && (noNamespaces() ?? false);
}

/** Starts a program with so much memory at /dev/shm, which nobody else sees, and as process 1. */
export function ownMemory(size: string, ...program: string[]): string[] {
  const flags = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  return ['unshare', ...flags, ...mounting(`size=${size},mode=1777`, '/dev/shm'), ...program];
}

/** The same in the host's own numbers. */
export function smallMemory(size: string): string[] {
  return ['unshare', '--mount', ...mounting(`size=${size},mode=1777`, '/dev/shm')];
}

/** With a file system in memory of its own at `place`; `options` as of mount(8). */
export function ownDisk(options: string, place: string): string[] {
  return ['unshare', '--mount', ...mounting(options, place)];
}

/** With a file system at `place` that is full as soon as anything is in it. */
export function fullAt(place: string): string[] {
  return ['unshare', '--mount', ...mounting('size=4k,nr_inodes=2', place)];
}

function mounting(options: string, place: string): string[] {
  const script = 'mkdir -p "$2" && mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"';
  return ['sh', '-c', script, 'sh', options, place];
}

/** Kills it with its namespace; all of it is gone when this returns. */
export async function killWhole(server: Server): Promise<void> {
  const closed = once(server.process, 'close');
  await server.kill('SIGKILL');
  await closed;
}

/** The process that `unshare --fork` waits for: the server. */
export function forkedBy({ process: { pid } }: Server): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
}

function split([command, ...args]: string[]): [string, string[]] {
  return [command!, args];
}
