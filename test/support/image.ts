/**
 * What ops/Dockerfile says, and the same image without Docker: the files that it copies, in a root of
 * their own that is read-only, with namespaces of processes, memory and mounts, a user that has no name
 * and no home, and 64 MB at /dev/shm. The C library and Node.js are those of this machine.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

export interface Instruction {
  /** `COPY`, `RUN` and so on. */
  readonly name: string;
  /** The rest of it, in one line. */
  readonly text: string;
}

/** Its stages in order; each begins with its `FROM`. */
export function dockerfileStages(dockerfile = read('ops/Dockerfile')): Instruction[][] {
  const lines = dockerfile.replace(/^#.*\n/gm, '').replace(/\\\n\s*/g, '');
  const stages: Instruction[][] = [];
  for (const [, name = '', text = ''] of lines.matchAll(/^([A-Z]+) (.+)$/gm)) {
    if (name === 'FROM') stages.push([]);
    stages.at(-1)!.push({ name, text });
  }
  return stages;
}

/** Those of a stage that have this name. */
export function textsOf(stage: readonly Instruction[], name: string): string[] {
  return stage.filter((one) => one.name === name).map(({ text }) => text);
}

/** Variables of a stage. */
export function variablesOf(stage: readonly Instruction[]): Record<string, string> {
  const pairs = textsOf(stage, 'ENV').flatMap((text) => text.split(' '));
  return Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/).slice(0, 2)));
}

export interface Copy {
  /** The stage that it is from; undefined for the checkout. */
  readonly from: string | undefined;
  readonly sources: readonly string[];
  readonly to: string;
}

export function copiesOf(stage: readonly Instruction[]): Copy[] {
  return textsOf(stage, 'COPY').map((text) => {
    const words = text.split(' ');
    const from = words[0]!.startsWith('--from=') ? words.shift()!.slice(7) : undefined;
    return { from, to: words.pop()!, sources: words };
  });
}

/** Whether .dockerignore lets this path of the checkout into the build. */
export function isSent(path: string): boolean {
  const [all, ...exceptions] = read('.dockerignore').trim().split('\n').slice(1);
  assert.equal(all, '*');
  return exceptions.some((line) => {
    assert.match(line, /^![\w./-]+$/);
    return path === line.slice(1) || path.startsWith(`${line.slice(1)}/`);
  });
}

/** The root of the image, in this directory, which need not be there. */
export function makeImage(directory: string): void {
  for (const { from, sources, to } of copiesOf(dockerfileStages().at(-1)!)) {
    for (const source of sources) {
      const base = source.split('/').at(-1)!;
      const target = join(directory, to.endsWith('/') ? join(to, base) : to);
      mkdirSync(dirname(target), { recursive: true });
      if (from === undefined) cpSync(join(ROOT, source), target, { recursive: true });
      else if (base === 'node_modules') copyPackages(target);
      else if (base === 'dashboard') cpSync(join(ROOT, 'build', base), target, { recursive: true });
      else copyBuild(target);
    }
  }
}

/** As `npm ci --omit=dev` installs them. */
function copyPackages(target: string): void {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; link?: boolean }>;
  };
  for (const [path, { dev, devOptional, link }] of Object.entries(packages)) {
    if (!path.startsWith('node_modules/') || dev || devOptional || link) continue;
    const source = join(ROOT, path);
    if (!existsSync(source)) continue;
    cpSync(source, join(target, path.slice('node_modules/'.length)), { recursive: true });
  }
}

/** As tools/build-native.mjs leaves it. */
function copyBuild(target: string): void {
  mkdirSync(target, { recursive: true });
  for (const name of ['vanitypool.node', 'vanitypool.node.hash']) {
    cpSync(join(ROOT, 'build', name), join(target, name));
  }
}

/** What makes the new root, and starts a program in it. Another user would lose the signal of `--kill-child`. */
const CONTAINER = `
root=$1 image=$2 data=$3 state=$4 node=$5 user=$6 shm=$7; shift 8
mount -t tmpfs root "$root"; cd "$root"
mkdir usr proc sys dev opt data state etc etc/vanitypool node
for name in bin lib lib64 sbin; do
  if [ -h /$name ]; then ln -s usr/$name $name; elif [ -d /$name ]; then mkdir $name; mount --bind /$name $name; fi
done
mount --rbind /usr usr; mount --rbind /sys sys; mount -t proc proc proc; mount --rbind /dev dev
if [ -n "$shm" ]; then mount --bind "$shm" dev/shm; else mount -t tmpfs -o size=64m shm dev/shm; fi
mount --bind "$image/opt" opt; mount -o remount,bind,ro opt
mount --bind "$data" data; mount --bind "$state" state
touch node/node; mount --bind "$node" node/node
mount -o remount,ro "$root"
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --bounding-set -all \
  --pdeathsig KILL env -u HOME -u USER PATH=/node:/usr/bin:/bin "$@"
`;

export interface Places {
  /** As of `makeImage`. */
  readonly image: string;
  /** An empty directory. */
  readonly root: string;
  readonly data: string;
  readonly state: string;
  /** What is at /dev/shm and outlives the container, as memory of a pod does; without it 64 MB that end with it. */
  readonly shm?: string;
}

/** What starts a server in the image, for `Workspace.launcher`: it gets the program, and leaves it out. */
export function imageLauncher(places: Places): string[] {
  const [stage] = dockerfileStages().slice(-1);
  const [entry] = JSON.parse(textsOf(stage!, 'ENTRYPOINT')[0]!) as string[];
  const [user] = textsOf(stage!, 'USER')[0]!.split(':');
  const [work] = textsOf(stage!, 'WORKDIR');
  const variables = Object.entries(variablesOf(stage!)).map(([name, value]) => `${name}=${value}`);
  const { root, image, data, state, shm = '' } = places;
  const node = realpathSync(join(ROOT, 'build', 'node'));
  const flags = ['--mount', '--pid', '--ipc', '--fork', '--kill-child'];
  // The program that comes behind all this is the checkout's own.
  const start = ['sh', '-c', `cd ${work} && shift && exec ${entry} "$@"`, 'sh'];
  return [
    ...['unshare', ...flags, 'sh', '-ec', CONTAINER, 'sh'],
    ...[root, image, data, state, node, user!, shm, '--', ...variables, ...start],
  ];
}
