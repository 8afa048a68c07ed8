/** The start of this machine, by which what only lies in the system's cache is believed. Any thread may ask. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Undefined where the system has none. */
export function bootId(): string | undefined {
  try {
    if (process.platform !== 'darwin') {
      return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim() || undefined;
    }
    const args = ['-n', 'kern.bootsessionuuid'];
    return execFileSync('/usr/sbin/sysctl', args, { encoding: 'latin1' }).trim() || undefined;
  } catch {
    return undefined;
  }
}
