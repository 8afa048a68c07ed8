/**
 * Makes what the package needs beside the sources of a checkout: the client (build/client), the page at `/`
 * (build/dashboard), all of src as JavaScript with source maps (dist), and the addons for the machines that it serves
 * (build/prebuilds). Only what changed since the last time. npm runs it before it packs, and when the
 * package is installed from git. Runs on any Node.js >= 18.
 *
 * What cannot be made here is said in one line. An addon is left out where no compiler makes it.
 */
import { cpSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { argv, execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { buildClient } from './build-client.mjs';
import { buildDashboard } from './build-dashboard.mjs';
import { buildForAny, PREBUILT } from './build-native.mjs';
import { isMadeFrom, makeDirectory } from './made-directory.mjs';
import { withLock } from './setup-lock.mjs';
import { run, say, step } from './steps.mjs';

const SELF = fileURLToPath(import.meta.url);
const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
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
  const makers = ['build-package.mjs', 'made-directory.mjs'].map((file) => join('tools', file));
  const all = () => [
    ...sources().map((file) => join('src', file)),
    ...['tsconfig.json', 'tsconfig.package.json', ...makers],
  ];
  if (isMadeFrom(dist, all)) return true;
  return makeDirectory(dist, all, async (made) => {
    const args = [compiler, '-p', join(root, 'tsconfig.package.json'), '--outDir', made];
    const { status } = await step('compiling the program', () =>
      run(execPath, args, { cwd: root, stdio: ['ignore', 2, 2] }),
    );
    for (const file of sources().filter((name) => name.endsWith('.sql'))) {
      cpSync(join(root, 'src', file), join(made, file));
    }
    return status === 0;
  });
}

/** The sources, by their paths in `src`. */
function sources() {
  const files = readdirSync(join(root, 'src'), { recursive: true });
  return files.filter((file) => /\.(ts|sql)$/.test(file)).sort();
}

if (argv[1] === SELF) process.exitCode = (await buildPackage()) ? 0 : 1;
