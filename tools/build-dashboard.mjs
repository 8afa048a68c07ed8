/**
 * Makes src/dashboard, with what it uses of the client, of keypair and of uPlot, into build/dashboard: what the
 * server delivers at `/`. One script and one style beside the page, put together by esbuild, so that a browser asks for
 * four files. Does so only when a source changed since the last time. Runs on any Node.js >= 18. esbuild is the one
 * in WebAssembly: it takes 3 s of the processor instead of 0.1, and needs no program for each kind of machine and no
 * script at its installation.
 *
 * esbuild drops types without a look at them: `npm run check` looks.
 */
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { argv, execPath, exit } from 'node:process';
import { fileURLToPath } from 'node:url';
import { isMadeFrom, makeDirectory } from './made-directory.mjs';
import { run, say, step } from './steps.mjs';

const SELF = fileURLToPath(import.meta.url);
const root = dirname(dirname(SELF));
const source = join(root, 'src', 'dashboard');
const output = join(root, 'build', 'dashboard');
/** Of whose sources it has parts, and the version of what it has of others. */
const ROOMS = ['api', 'client', 'dashboard', 'keypair'];
const OTHERS = ['build-dashboard.mjs', 'made-directory.mjs'].map((name) => `tools/${name}`);

/** False, after a warning, if it cannot be made: the server does without. */
export async function buildDashboard() {
  if (isMadeFrom(output, sources)) return true;
  const { status } = await step('building the dashboard, once', () =>
    run(execPath, [SELF], { stdio: ['ignore', 2, 2] }),
  );
  if (status !== 0) say('the dashboard could not be built; the server does without');
  return status === 0;
}

function build() {
  return makeDirectory(output, sources, async (made) => {
    const { build: bundle } = await import('esbuild-wasm');
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
    return true;
  });
}

/** Where a copy of its code is, its license has to be. */
function licenseOf(name) {
  const license = readFileSync(join(root, 'node_modules', name, 'LICENSE'), 'utf8');
  return `/*! ${name}\n${license.trim()} */`;
}

function sources() {
  const files = ROOMS.flatMap((room) => {
    const names = readdirSync(join(root, 'src', room), { recursive: true });
    return names.filter((name) => /\.\w+$/.test(name)).map((name) => `src/${room}/${name}`);
  });
  return [...files, 'src/errors.ts', 'package-lock.json', ...OTHERS].sort();
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
