/**
 * The control groups that this process is in, as /proc and /sys list them. Any thread may read it; it
 * never fails: what cannot be read or understood is not there.
 *
 * Limits hold for whole trees of groups: that of the process's own group and of all above it, as far
 * as they can be seen; those outside of a container cannot.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A file of the system as text, '' where there is none. */
export type ReadText = (...path: string[]) => string;

/** Where a file system of control groups is mounted, and which group is its root. */
export interface Mount {
  readonly version: 1 | 2;
  readonly root: string;
  readonly directory: string;
}

/** A directory with the files of one group. */
export interface ControlGroup {
  readonly version: 1 | 2;
  readonly directory: string;
}

/** `root` is where /proc and /sys are looked for. */
export function textsBelow(root: string): ReadText {
  return (...path) => {
    try {
      return readFileSync(join(root, ...path), 'utf8');
    } catch {
      return '';
    }
  };
}

/** The own group and all above it, of version 2 and of a controller of version 1. */
export function controlGroups(text: ReadText, controller: string): ControlGroup[] {
  const groups = text('proc/self/cgroup');
  return mountsOf(controller, text('proc/self/mountinfo')).flatMap((mount) =>
    groupDirectories(controller, mount, groups).map((directory) => ({
      version: mount.version,
      directory,
    })),
  );
}

/** The mounts that may belong to a controller: version 2, and its own of version 1 (proc(5)). */
export function mountsOf(controller: string, mountinfo: string): Mount[] {
  return mountinfo.split('\n').flatMap((line): Mount[] => {
    const [mounted = '', system = ''] = line.split(' - ');
    const [, , , root, directory] = mounted.split(' ').map(unescaped);
    const [type, , options = ''] = system.split(' ');
    if (root === undefined || directory === undefined) return [];
    if (type === 'cgroup2') return [{ version: 2, root, directory }];
    const isOfIt = type === 'cgroup' && options.split(',').includes(controller);
    return isOfIt ? [{ version: 1, root, directory }] : [];
  });
}

/**
 * The directories of the process's own group and of all above it that a mount shows, by
 * /proc/self/cgroup. Of a group that lies outside of the mount, the mount's root alone.
 */
export function groupDirectories(
  controller: string,
  { version, root, directory }: Mount,
  groups: string,
): string[] {
  const lines = groups.split('\n').map((line) => /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []);
  // Version 2 has one line, without a controller.
  const wanted = version === 2 ? '' : controller;
  const own = lines.find(([, controllers]) => controllers?.split(',').includes(wanted));
  const group = own?.[2];
  if (group === undefined) return [];
  const base = root === '/' ? '' : root;
  const isInside = group === base || group.startsWith(`${base}/`);
  const names = isInside ? group.slice(base.length).split('/').filter(Boolean) : [];
  if (names.includes('..')) return [directory];
  return [directory, ...names.map((_, index) => join(directory, ...names.slice(0, index + 1)))];
}

/** Spaces and the like are written as three octal digits in /proc/self/mountinfo. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 8)));
}
