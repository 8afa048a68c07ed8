/**
 * What distinguishes a file from every copy of it, as far as its file system knows: the inode
 * number, the time of birth, and the generation, by which a file system distinguishes the files that
 * get one inode number one after the other. Any thread may use it.
 *
 * Promises: what a file system makes up or does not know is left out, never guessed. A file keeps
 * its identity when it is renamed, written, given to another user, and when its file system is
 * mounted again. The device is left out, since many systems number theirs anew at each start, and
 * so is the time of change, since containers run chown over their volumes at each start.
 *
 * Does not: distinguish a clone of a whole volume or machine from the original. Where only the time
 * of birth
 * is known, a copy that is made within the same tick of the system's clock (at most 10 ms) as the
 * original itself has it too. On overlayfs a file that was never opened for writing shows the
 * identity of the layer below, and gets one of its own then: a store compares and records
 * `ownIdentityOf`.
 */
import { type BigIntStats, closeSync, constants, openSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { loadAddon } from '../system/addon.ts';

/** Each undefined where it is not known. */
export interface FileIdentity {
  readonly inode: string | undefined;
  /** In nanoseconds since 1970. */
  readonly birth: string | undefined;
  /** As native/disk.h writes it. */
  readonly generation: string | undefined;
}

/** Types of statfs(2). */
const VFAT = 0x4d44;
const EXFAT = 0x2011bab0;
const OVERLAYFS = 0x794c7630;

/** A file of procfs has no time of birth; its time of change is that of the look. */
const WITHOUT_BIRTH = '/proc/self/status';

/** What a file system that keeps no generations gives for every file. */
const NO_GENERATION = 'v0';

const TEXT = /^(?<inode>\d*):(?<birth>\d*)(?::(?<generation>v\d+|h[0-9a-f]*|))?$/;

/**
 * Of the file at `path`, which is not opened: to close it again would drop the locks of SQLite in
 * this process. `file`, a descriptor of it that the caller has open anyway, gives the generation also
 * where a container refuses to ask by path. Errors are the system's.
 */
export function identityOf(path: string, file?: number): FileIdentity {
  const stats = statSync(path, { bigint: true });
  const hasInode = !makesUpInodes(
    statfsSync(path).type,
    stats.dev,
    () => statSync(dirname(path), { bigint: true }).dev,
  );
  return {
    inode: hasInode ? String(stats.ino) : undefined,
    birth: birthOf(stats),
    generation: hasInode ? generationOf(path, file) : undefined,
  };
}

/**
 * The same, once it is opened for writing: by the caller, whose descriptor `file` is, or else here; then
 * SQLite must not have it open in this process. Errors are the system's.
 */
export function ownIdentityOf(path: string, file?: number): FileIdentity {
  if (file !== undefined) return identityOf(path, file);
  const opened = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    return identityOf(path, opened);
  } finally {
    closeSync(opened);
  }
}

/**
 * Whether a file system of this type numbers inodes anew each time it is mounted. Overlayfs does
 * when it lies over several others and cannot distinguish them by high bits of the number (xino);
 * then its files are on other devices than their directories.
 */
export function makesUpInodes(type: number, device: bigint, ofDirectory: () => bigint): boolean {
  return type === VFAT || type === EXFAT || (type === OVERLAYFS && device !== ofDirectory());
}

/**
 * Where a container refuses statx(2), Node.js gives the time of change for that of birth, which a
 * file of procfs shows. Without procfs nobody can know.
 */
function birthOf({ birthtimeNs }: BigIntStats): string | undefined {
  if (birthtimeNs === 0n) return undefined;
  if (process.platform !== 'linux') return String(birthtimeNs);
  const known = statSync(WITHOUT_BIRTH, { bigint: true, throwIfNoEntry: false });
  return known?.birthtimeNs === 0n ? String(birthtimeNs) : undefined;
}

function generationOf(path: string, file = -1): string | undefined {
  const found = loadAddon().addon?.generation(path, file);
  return typeof found === 'string' && found !== NO_GENERATION ? found : undefined;
}

/** For a database: "inode:birth:generation", each empty where it is not known. */
export function formatIdentity({ inode, birth, generation }: FileIdentity): string {
  return `${inode ?? ''}:${birth ?? ''}:${generation ?? ''}`;
}

/** What `formatIdentity` wrote, or a version that knew no generation; undefined for any other text. */
export function parseIdentity(text: string): FileIdentity | undefined {
  const fields = TEXT.exec(text)?.groups;
  if (fields === undefined) return undefined;
  const { inode, birth, generation } = fields;
  return {
    inode: inode || undefined,
    birth: birth || undefined,
    generation: generation || undefined,
  };
}

/** What of `found` can be compared with `recorded`: both know it, in the same form. */
export function comparable(recorded: FileIdentity, found: FileIdentity): FileIdentity {
  const isGeneration = recorded.generation?.[0] === found.generation?.[0];
  return {
    inode: recorded.inode && found.inode,
    birth: recorded.birth && found.birth,
    generation: isGeneration ? found.generation : undefined,
  };
}

/**
 * False if anything that both know differs; true proves nothing unless both have what
 * distinguishes copies.
 */
export function isSameFile(recorded: FileIdentity, found: FileIdentity): boolean {
  const { inode, birth, generation } = comparable(recorded, found);
  return (
    (inode === undefined || inode === recorded.inode) &&
    (birth === undefined || birth === recorded.birth) &&
    (generation === undefined || generation === recorded.generation)
  );
}

/**
 * Whether no copy can have this identity. The inode number alone proves nothing: the number
 * of a deleted file goes to the next file that is created.
 */
export function canTellCopies({ birth, generation }: FileIdentity): boolean {
  return birth !== undefined || generation !== undefined;
}
