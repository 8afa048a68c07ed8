/**
 * Makes build/tarballs: what is published. The package `vanitypool`, and `vanitypool-client`, which is
 * the same client alone, for programs and pages that run no server. Beside them, as CycloneDX, a list of
 * the dependencies of the first with their hashes; the other has none. Run by `npm run tarballs`.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
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

\`vanitypool-client/solana\` signs Solana transactions with what was dispensed: with the secret, or by the server, which
keeps it. The signers fit \`@solana/kit\` 8, \`@solana/web3.js\` 1.98 and Umi, and load none of them. Expanded keys need
\`libsodium-wrappers-sumo\`.

\`\`\`ts
import { createRemoteSigner } from 'vanitypool-client/solana';

const signer = createRemoteSigner({ client, pool: 'pet', address: mint.address });
\`\`\`
`;

/** Both, into `directory`; their paths, or undefined after what says why not. */
export async function makeTarballs(directory) {
  if (!(await buildPackage())) return undefined;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const program = layProgram(join(root, 'build', 'package'));
  const client = layClient(join(root, 'build', 'client-package'));
  listDependencies(join(directory, 'vanitypool.cdx.json'));
  return { program: pack(program, directory), client: pack(client, directory) };
}

/**
 * The files of the package `vanitypool`, as its `files` lists them. Its description has no scripts: all
 * of them are for a checkout, and npm warns of `prepare` where a tarball is installed.
 */
function layProgram(place) {
  rmSync(place, { recursive: true, force: true });
  const [{ files }] = Object.values(JSON.parse(npm(root, 'pack', '--dry-run', '--json')));
  for (const { path } of files) {
    mkdirSync(dirname(join(place, path)), { recursive: true });
    cpSync(join(root, path), join(place, path));
  }
  const { scripts: _, devDependencies: __, ...description } = descriptionOf(root);
  describe(place, description);
  return place;
}

/** The files of the package `vanitypool-client`. */
function layClient(place) {
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  const built = join(root, 'build', 'client');
  for (const name of readdirSync(built)) {
    if (name !== '.hash') cpSync(join(built, name), join(place, name), { recursive: true });
  }
  cpSync(join(root, 'LICENSE'), join(place, 'LICENSE'));
  writeFileSync(join(place, 'README.md'), CLIENT_README);
  const { version, license, dependencies, ...peers } = descriptionOf(root);
  const sodium = 'libsodium-wrappers-sumo';
  const entry = (name) => ({ types: `./${name}.d.ts`, default: `./${name}.js` });
  describe(place, {
    name: 'vanitypool-client',
    version,
    description: 'The client of a vanitypool server, which hands out Solana vanity keypairs.',
    license,
    type: 'module',
    sideEffects: false,
    engines: { node: '>=20' },
    exports: {
      '.': entry('client'),
      './solana': entry('solana/solana'),
      './package.json': './package.json',
    },
    files: ['**/*.js', '**/*.d.ts', '**/*.js.map'],
    peerDependencies: { ...peers.peerDependencies, [sodium]: `^${dependencies[sodium]}` },
    peerDependenciesMeta: { ...peers.peerDependenciesMeta, [sodium]: { optional: true } },
  });
  return place;
}

function descriptionOf(place) {
  return JSON.parse(readFileSync(join(place, 'package.json'), 'utf8'));
}

function describe(place, description) {
  writeFileSync(join(place, 'package.json'), `${JSON.stringify(description, null, 2)}\n`);
}

/** What an installation brings, by the lock file. npm names it after the folder of the checkout. */
function listDependencies(path) {
  const flags = ['--sbom-format=cyclonedx', '--omit=dev', '--package-lock-only'];
  const list = JSON.parse(npm(root, 'sbom', ...flags));
  list.metadata.component.name = descriptionOf(root).name;
  writeFileSync(path, `${JSON.stringify(list, null, 2)}\n`);
}

/** The path of the tarball of one package. */
function pack(place, directory) {
  const [{ filename }] = Object.values(
    JSON.parse(npm(place, 'pack', '--json', '--pack-destination', directory)),
  );
  return join(directory, filename);
}

/** Its output; no script runs. */
function npm(cwd, ...args) {
  return execFileSync('npm', [...args, '--ignore-scripts'], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

if (argv[1] === SELF) {
  const made = await makeTarballs(join(root, 'build', 'tarballs'));
  for (const path of Object.values(made ?? {})) say(path);
  process.exitCode = made === undefined ? 1 : 0;
}
