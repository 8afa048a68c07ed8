/**
 * Makes src/client into build/client, JavaScript and types that need nothing else: what
 * `import 'vanitypool/client'` gives, in a checkout and in the package. Does so only when a source
 * changed since the last time. Runs on any Node.js >= 18.
 *
 * The types of replies come from the schemas of the server, by a library that users of the client do
 * not have. So they are written out: each type that replies.ts gives on, in full.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { argv, execPath, exit } from 'node:process';
import { fileURLToPath } from 'node:url';
import { isMadeFrom, makeDirectory } from './made-directory.mjs';
import { run, say, step } from './steps.mjs';

const SELF = fileURLToPath(import.meta.url);
const root = dirname(dirname(SELF));
const source = join(root, 'src', 'client');
const output = join(root, 'build', 'client');

/** Of the compiler's TypeFormatFlags: NoTruncation and InTypeAlias. */
const IN_FULL = 1 | (1 << 23);

/** False, after a warning, if it cannot be made: the server does without. */
export async function buildClient() {
  if (isMadeFrom(output, clientSources)) return true;
  const { status } = await step('building the client, once', () =>
    run(execPath, [SELF], { stdio: ['ignore', 2, 2] }),
  );
  if (status !== 0) say('the client could not be built; the server does without');
  return status === 0;
}

function build() {
  return makeDirectory(output, clientSources, async (made, work) => {
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    const all = join(work, 'all');
    const args = [compiler, '-p', source, '--outDir', all];
    const { status } = spawnSync(execPath, args, { stdio: ['ignore', 2, 2] });
    if (status !== 0) return false;
    cpSync(join(all, 'client'), made, { recursive: true });
    writeFileSync(join(made, 'replies.d.ts'), await typesInFull(join(source, 'replies.ts')));
    return true;
  });
}

/** The exported types of a file, none of them by another's name. */
async function typesInFull(path) {
  const { API } = await import('typescript/unstable/sync');
  const api = new API({ cwd: root });
  try {
    const [project] = api
      .updateSnapshot({ openProjects: [join(source, 'tsconfig.json')] })
      .getProjects();
    const { checker, program } = project;
    const file = checker.getSymbolAtLocation(program.getSourceFile(path));
    const lines = checker.getExportsOfModule(file).map((symbol) => {
      const type = checker.getDeclaredTypeOfSymbol(checker.getAliasedSymbol(symbol));
      return `export type ${symbol.name} = ${checker.typeToString(type, undefined, IN_FULL)};\n`;
    });
    return lines.join('');
  } finally {
    api.close();
  }
}

/** Everything that the client is made from, by its path in the checkout. */
export function clientSources() {
  return [
    ...['client', 'api'].flatMap((room) => {
      const files = readdirSync(join(root, 'src', room), { recursive: true });
      return files.filter((name) => /\.\w+$/.test(name)).map((name) => join('src', room, name));
    }),
    ...['src/config/pool-settings.ts', 'src/errors.ts', 'src/keypair/signing-key.ts'],
    'src/keypair/transaction-sizes.ts',
    ...['tsconfig.json', 'tools/build-client.mjs', 'tools/made-directory.mjs'],
  ].sort();
}

if (argv[1] === SELF) exit((await build()) ? 0 : 1);
