/**
 * Makes build/tarballs: what is published. The package `vanitypool`, and `vanitypool-client`, which is
 * the same client alone, for programs and pages that run no server. Run by `npm run tarballs`.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { buildPackage } from './build-package.mjs';
import { say } from './steps.mjs';

const SELF = fileURLToPath(import.meta.url);
const root = fileURLToPath(new URL('..', import.meta.url));
const CLIENT_README = `# vanitypool-client

The client of a [vanitypool](https://www.npmjs.com/package/vanitypool) server, which hands out Solana vanity keypairs.
For Node.js 20 and newer, and browsers. It needs no other package, and its retries never take a second address.

\`\`\`ts
import { VanitypoolClient } from 'vanitypool-client';

const client = new VanitypoolClient({ url: 'http://127.0.0.1:5057' });
const [mint] = await client.dispense('pet');
\`\`\`
`;

/** Both, into `directory`; their paths, or undefined after a line that says why not. */
export async function makeTarballs(directory) {
  if (!(await buildPackage())) return undefined;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const client = join(root, 'build', 'client-package');
  layClient(client);
  const [program, library] = [pack(root, directory), pack(client, directory)];
  if (program === undefined || library === undefined) return undefined;
  return { program, client: library };
}

/** The files of the package `vanitypool-client`. */
function layClient(place) {
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  const built = join(root, 'build', 'client');
  for (const name of readdirSync(built)) {
    if (name !== '.hash') cpSync(join(built, name), join(place, name));
  }
  cpSync(join(root, 'LICENSE'), join(place, 'LICENSE'));
  writeFileSync(join(place, 'README.md'), CLIENT_README);
  const { version, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const entry = { types: './client.d.ts', default: './client.js' };
  const description = {
    name: 'vanitypool-client',
    version,
    description: 'The client of a vanitypool server, which hands out Solana vanity keypairs.',
    license,
    type: 'module',
    sideEffects: false,
    engines: { node: '>=20' },
    exports: { '.': entry, './package.json': './package.json' },
    files: ['*.js', '*.d.ts', '*.js.map'],
  };
  writeFileSync(join(place, 'package.json'), `${JSON.stringify(description, null, 2)}\n`);
}

/** The path of the tarball of one package; its scripts have run. */
function pack(place, directory) {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', directory];
  const { status, stdout } = spawnSync('npm', args, {
    cwd: place,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) return undefined;
  const [{ filename }] = Object.values(JSON.parse(stdout));
  return join(directory, filename);
}

if (argv[1] === SELF) {
  const made = await makeTarballs(join(root, 'build', 'tarballs'));
  for (const path of Object.values(made ?? {})) say(path);
  process.exitCode = made === undefined ? 1 : 0;
}
