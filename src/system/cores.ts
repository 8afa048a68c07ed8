/**
 * How many cores this process may use, and how many of them threads may grind on. Any thread may
 * read it; it never fails: what cannot be read or understood is no limit.
 *
 * Two limits. Affinity (and a cpuset) says which cores: `cores`. A CPU quota of a control group
 * says how much of them within each period, of all threads together: `quota`, in cores. It counts
 * idle threads as it counts others, and when it is used up the whole process stands still until
 * the period (100 ms) ends, requests with it. So a server grinds with one core less than the quota.
 * `os.availableParallelism()` is not enough: it misses some quotas and rounds others down.
 * The smallest quota counts of all groups that the process is in.
 */
import { availableParallelism } from 'node:os';
import { controlGroups, textsBelow } from './control-groups.ts';

export interface CpuLimits {
  /** That this process may run on. */
  readonly cores: number;
  /**
   * Of all threads together, in cores; undefined when none is set, or none below `cores`. One that
   * is as large is hardly felt: with 2 of 2 cores busy, 7 ms of 4 s were lost.
   */
  readonly quota: number | undefined;
}

/** `root` is where /proc and /sys are looked for. */
export function readCpuLimits(root = '/'): CpuLimits {
  const text = textsBelow(root);
  const cores = coresIn(text('proc/self/status')) ?? availableParallelism();
  const quotas = controlGroups(text, 'cpu').map(({ version, directory }) =>
    version === 2
      ? quotaOf(text(directory, 'cpu.max'))
      : quotaOf(`${text(directory, 'cpu.cfs_quota_us')} ${text(directory, 'cpu.cfs_period_us')}`),
  );
  const quota = Math.min(...quotas.filter((one) => one !== undefined));
  return { cores, quota: quota < cores ? quota : undefined };
}

/**
 * Threads for a server to grind with: all cores, or with a quota the whole cores that it leaves
 * after one for requests. One at least: below 2 cores it takes of what requests need, but for 0
 * no pool would ever fill. 3.5 -> 2, 2 -> 1, 1.5 -> 1 (half a core is left), 1 -> 1 (none is:
 * the process stands still for as long as requests worked within each period).
 */
export function serverThreads({ cores, quota = Number.POSITIVE_INFINITY }: CpuLimits): number {
  return quota < cores ? Math.max(1, Math.floor(quota) - 1) : cores;
}

/** Threads for a command that only grinds: all that there is, a begun core too. */
export function commandThreads({ cores, quota = Number.POSITIVE_INFINITY }: CpuLimits): number {
  return Math.min(cores, Math.ceil(quota));
}

/** How many cores /proc/self/status allows: `Cpus_allowed_list:\t0-3,8`. Undefined if unreadable. */
export function coresIn(status: string): number | undefined {
  const list = /^Cpus_allowed_list:\s*(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)$/m.exec(status)?.[1];
  const count = list?.split(',').reduce((sum, part) => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return sum + Math.max(0, last - first + 1);
  }, 0);
  return count === 0 ? undefined : count;
}

/** Cores of `QUOTA PERIOD` in microseconds: "50000 100000" is 0.5. Undefined for "max", -1, others. */
export function quotaOf(text: string): number | undefined {
  const [, quota, period] = /^\s*(\d+)\s+(\d+)\s*$/.exec(text) ?? [];
  const cores = Number(quota) / Number(period);
  return cores > 0 && Number.isFinite(cores) ? cores : undefined;
}
