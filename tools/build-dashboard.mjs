/**
 * Makes src/dashboard and the client that it uses into build/dashboard: what the server delivers at `/`,
 * as JavaScript modules beside the page and its style. Does so only when a source changed since the last
 * time. Runs on any Node.js >= 18.
 *
 * No bundler: a dozen modules of some kilobytes are as fast over one connection, and nothing has to be
 * trusted to put them together.
 */
import { spawnSync } from 'node:child_process';
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
import { clientSources } from './build-client.mjs';
import { run, say, step } from './steps.mjs';

const SELF = fileURLToPath(import.meta.url);
const root = dirname(dirname(SELF));
const source = join(root, 'src', 'dashboard');
const output = join(root, 'build', 'dashboard');
const stamp = join(output, '.hash');
const STATIC = /\.(html|css|svg)$/;

/** False, after a warning, if it cannot be made: the server does without. */
export async function buildDashboard() {
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hashOfSources()) return true;
  const { status } = await step('building the dashboard, once', () =>
    run(execPath, [SELF], { stdio: ['ignore', 2, 2] }),
  );
  if (status !== 0) say('the dashboard could not be built; the server does without');
  return status === 0;
}

function build() {
  const hash = hashOfSources();
  mkdirSync(dirname(output), { recursive: true });
  const work = mkdtempSync(join(dirname(output), 'dashboard-'));
  try {
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    const args = [compiler, '-p', source, '--outDir', work];
    const { status } = spawnSync(execPath, args, { stdio: ['ignore', 2, 2] });
    if (status !== 0) return false;
    const made = join(work, 'made');
    // Of the rest of the program it has types alone.
    for (const room of ['dashboard', 'client']) {
      cpSync(join(work, room), join(made, room), { recursive: true });
    }
    for (const name of readdirSync(source).filter((name) => STATIC.test(name))) {
      cpSync(join(source, name), join(made, 'dashboard', name));
    }
    writeFileSync(join(made, '.hash'), hash);
    rmSync(output, { recursive: true, force: true });
    renameSync(made, output);
    return true;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function hashOfSources() {
  const hash = createHash('sha256');
  const own = readdirSync(source).map((name) => join('src', 'dashboard', name));
  for (const file of [...own, ...clientSources(), 'tools/build-dashboard.mjs'].sort()) {
    hash.update(file).update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

if (argv[1] === SELF) exit(build() ? 0 : 1);
