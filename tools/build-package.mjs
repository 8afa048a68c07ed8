/**
 * Makes what the package needs beside the sources of a checkout: the client (build/client), the page at `/`
 * (build/dashboard), all of src as JavaScript with source maps (dist), and the addons for the machines that it serves
 * (build/prebuilds). Only what changed since the last time. npm runs it before it packs, and when the
 * package is installed from git. Runs on any Node.js >= 18.
 *
 * What cannot be made here is said in one line. An addon is left out where no compiler makes it.
 */
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { argv, execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { buildClient } from './build-client.mjs';
import { buildDashboard } from './build-dashboard.mjs';
import { buildForAny, PREBUILT } from './build-native.mjs';
import { withLock } from './setup-lock.mjs';
import { run, say, step } from './steps.mjs';

const SELF = fileURLToPath(import.meta.url);
const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const stamp = join(dist, '.hash');
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');

/** False, after a line that says why, if JavaScript could not be made. */
export async function buildPackage() {
  if (!existsSync(compiler)) {
    say('development dependencies are not installed: nothing is compiled for a package');
    return true;
  }
  for (const arch of PREBUILT) await buildAddon(arch);
  return (await buildClient()) && (await buildDashboard()) && (await buildProgram());
}

/** As buildForAny of build-native.mjs; of two at once the second takes what the first made. */
export function buildAddon(arch) {
  const lock = join(root, 'build', 'prebuilds.lock');
  return withLock(lock, () => buildForAny(arch, prebuilt(arch)));
}

/** The path of the addon for one kind of machine. */
export function prebuilt(arch) {
  return join(root, 'build', 'prebuilds', `linux-${arch}`, 'vanitypool.node');
}

async function buildProgram() {
  const hash = hashOfSources();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return true;
  mkdirSync(join(root, 'build'), { recursive: true });
  const work = mkdtempSync(join(root, 'build', 'dist-'));
  try {
    const args = [compiler, '-p', join(root, 'tsconfig.package.json'), '--outDir', work];
    const { status } = await step('compiling the program', () =>
      run(execPath, args, { cwd: root, stdio: ['ignore', 2, 2] }),
    );
    if (status !== 0) return false;
    for (const file of sources().filter((name) => name.endsWith('.sql'))) {
      cpSync(join(root, 'src', file), join(work, file));
    }
    writeFileSync(join(work, '.hash'), hash);
    rmSync(dist, { recursive: true, force: true });
    renameSync(work, dist);
    return true;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The sources, by their paths in `src`. */
function sources() {
  const files = readdirSync(join(root, 'src'), { recursive: true });
  return files.filter((file) => /\.(ts|sql)$/.test(file)).sort();
}

function hashOfSources() {
  const hash = createHash('sha256');
  const files = sources().map((file) => join('src', file));
  const makers = ['tsconfig.json', 'tsconfig.package.json', 'tools/build-package.mjs'];
  for (const file of [...files, ...makers]) {
    hash.update(file).update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

if (argv[1] === SELF) process.exitCode = (await buildPackage()) ? 0 : 1;
