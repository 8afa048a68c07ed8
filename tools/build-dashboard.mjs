/**
 * Makes src/dashboard, with what it uses of the client, of keypair and of uPlot, into build/dashboard: what the
 * server delivers at `/`. One script and one style beside the page, put together by esbuild, so that a browser asks for
 * four files. Does so only when a source changed since the last time. Runs on any Node.js >= 18. esbuild is the one
 * in WebAssembly: it takes 3 s of the processor instead of 0.1, and needs no program for each kind of machine and no
 * script at its installation.
 *
 * esbuild drops types without a look at them: `npm run check` looks.
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
import { dirname, join } from 'node:path';
import { argv, execPath, exit } from 'node:process';
import { fileURLToPath } from 'node:url';
import { run, say, step } from './steps.mjs';

const SELF = fileURLToPath(import.meta.url);
const root = dirname(dirname(SELF));
const source = join(root, 'src', 'dashboard');
const output = join(root, 'build', 'dashboard');
const stamp = join(output, '.hash');
/** Of whose sources it has parts, and the version of what it has of others. */
const ROOMS = ['api', 'client', 'dashboard', 'keypair'];
const OTHERS = ['src/errors.ts', 'package-lock.json', 'tools/build-dashboard.mjs'];

/** False, after a warning, if it cannot be made: the server does without. */
export async function buildDashboard() {
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hashOfSources()) return true;
  const { status } = await step('building the dashboard, once', () =>
    run(execPath, [SELF], { stdio: ['ignore', 2, 2] }),
  );
  if (status !== 0) say('the dashboard could not be built; the server does without');
  return status === 0;
}

async function build() {
  const hash = hashOfSources();
  const { build: bundle } = await import('esbuild-wasm');
  mkdirSync(dirname(output), { recursive: true });
  const work = mkdtempSync(join(dirname(output), 'dashboard-'));
  // That one is for its owner alone.
  const made = join(work, 'made');
  try {
    await bundle({
      entryPoints: [join(source, 'main.ts'), join(source, 'page.css')],
      outdir: made,
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      target: 'es2022',
      // It needs no settings of the compiler, which an image is built without.
      tsconfigRaw: {},
      banner: { js: licenseOf('uplot') },
      logLevel: 'warning',
    });
    for (const name of ['page.html', 'icon.svg']) cpSync(join(source, name), join(made, name));
    writeFileSync(join(made, '.hash'), hash);
    rmSync(output, { recursive: true, force: true });
    renameSync(made, output);
    return true;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Where a copy of its code is, its license has to be. */
function licenseOf(name) {
  const license = readFileSync(join(root, 'node_modules', name, 'LICENSE'), 'utf8');
  return `/*! ${name}\n${license.trim()} */`;
}

function filesOf(folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder)).map((name) => `${folder}/${name}`);
}

function hashOfSources() {
  const hash = createHash('sha256');
  const own = ROOMS.flatMap((room) => filesOf(`src/${room}`));
  const all = [...own, ...OTHERS].filter((file) => existsSync(join(root, file)));
  for (const file of all.sort()) {
    hash.update(file).update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

async function buildOrSay() {
  try {
    return await build();
  } catch (error) {
    // esbuild has said already what is wrong with a source.
    if (error.errors === undefined) say(error.message);
    return false;
  }
}

if (argv[1] === SELF) exit((await buildOrSay()) ? 0 : 1);
