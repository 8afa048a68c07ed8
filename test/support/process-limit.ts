/**
 * A control group with a limit of processes, for tests: the threads of all that runs in it count
 * together. Needs Linux and the right to make one; where that is missing a test says what is.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { controlGroups, textsBelow } from '../../src/system/control-groups.ts';

/** Why there can be no such group here; undefined if there can. */
export function noProcessLimit(): string | undefined {
  if (process.platform !== 'linux') return 'control groups are of Linux';
  try {
    new ProcessLimit().remove();
    return undefined;
  } catch (error) {
    return `no control group with pids.max can be made: ${(error as Error).message}`;
  }
}

let made = 0;

export class ProcessLimit implements AsyncDisposable {
  readonly directory: string;

  constructor() {
    const [root] = controlGroups(textsBelow('/'), 'pids').filter(({ directory }) => {
      return directory.includes('pids') || isDelegated(directory);
    });
    if (root === undefined) throw new Error('no controller "pids" is mounted');
    this.directory = join(root.directory, `vanitypool-test-${process.pid}-${++made}`);
    mkdirSync(this.directory);
    // Where the controller is not passed on, the file is missing.
    readFileSync(join(this.directory, 'pids.max'));
  }

  /** What starts a program in the group: it gets the program and its arguments as its own. */
  get launcher(): string[] {
    return ['sh', '-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', this.directory];
  }

  /** Of threads in use. */
  get used(): number {
    return Number(readFileSync(join(this.directory, 'pids.current'), 'utf8'));
  }

  get processes(): number[] {
    const text = readFileSync(join(this.directory, 'cgroup.procs'), 'utf8');
    return text.split('\n').filter(Boolean).map(Number);
  }

  /** Fewer than are in use takes none away, and gives no more. */
  set(most: number | 'max'): void {
    writeFileSync(join(this.directory, 'pids.max'), String(most));
  }

  /** This process and all that it starts from now on. */
  enter(): void {
    writeFileSync(join(this.directory, 'cgroup.procs'), String(process.pid));
  }

  leave(): void {
    writeFileSync(join(this.directory, '..', 'cgroup.procs'), String(process.pid));
  }

  remove(): void {
    rmdirSync(this.directory);
  }

  /** When nothing runs in it any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    while (this.processes.length > 0) await sleep(20);
    this.remove();
  }
}

function isDelegated(directory: string): boolean {
  return textsBelow('/')(directory, 'cgroup.subtree_control').includes('pids');
}
