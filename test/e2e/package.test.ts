/**
 * The packages as their users get them: packed, put into an empty folder, and run from there. The
 * dependencies are those of the checkout, so that no registry is asked. Both are packed once.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { prebuilt } from '../../tools/build-package.mjs';
import { makeTarballs } from '../../tools/tarballs.mjs';
import { SMALL_MACHINE } from '../support/cli.ts';
import { DILIGENT, EASY_POOL, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
/** Three compilations, where nothing was built before. */
const BUILD_LIMIT = { timeout: 300_000 };
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const place = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
const program = join(place, 'program');
const installed = join(program, 'node_modules', 'vanitypool');
const bin = join(program, 'node_modules', '.bin', 'vanitypool');
const MACHINE = `linux-${process.arch}`;
let tarballs: Awaited<ReturnType<typeof makeTarballs>>;

before(async () => {
  tarballs = await makeTarballs(join(place, 'tarballs'));
  assert.ok(tarballs);
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', tarballs.program, '--strip-components=1', '-C', installed]);
  const { dependencies } = description(installed);
  for (const name of Object.keys(dependencies!)) {
    const to = join(program, 'node_modules', name);
    mkdirSync(join(to, '..'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), to);
  }
  writeFileSync(join(program, 'package.json'), '{}');
  // Links the commands of what is there, as an installation from a registry does.
  npm(program, 'rebuild', '--ignore-scripts');
}, BUILD_LIMIT);

after(() => rmSync(place, { recursive: true, force: true }));

function npm(cwd: string, ...args: string[]): string {
  const env = { ...process.env, npm_config_cache: join(place, 'npm-cache') };
  return execFileSync('npm', [...args, '--offline', '--no-audit', '--loglevel=error'], {
    cwd,
    env,
    encoding: 'utf8',
  });
}

interface Description {
  readonly version: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

function description(directory: string): Description {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
}

/** Runs a command of the folder; nothing of a user's own is read or written. */
function run(command: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const [name = '', ...args] = command;
  const { status, stdout, stderr } = spawnSync(name, args, {
    cwd: program,
    encoding: 'utf8',
    env: {
      PATH: process.env.PATH,
      HOME: place,
      XDG_STATE_HOME: join(place, 'state'),
      npm_config_cache: join(place, 'npm-cache'),
      NODE_OPTIONS: SMALL_MACHINE,
      ...env,
    },
  });
  return { status, stdout, stderr };
}

test('it holds JavaScript with source maps, SQL and an addon, and nothing that runs at install', () => {
  const files = readdirSync(installed, { recursive: true }) as string[];
  const sources = files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'));
  assert.deepEqual(sources, []);
  assert.ok(!files.some((file) => file.endsWith('binding.gyp')));
  assert.equal(description(installed).scripts, undefined);
  for (const database of ['sqlite', 'postgres']) {
    const migrations = join('store', database, 'migrations');
    for (const name of readdirSync(join(ROOT, 'src', migrations)))
      assert.ok(files.includes(join('dist', migrations, name)), `${database}: ${name}`);
  }
  const { sources: named, sourcesContent } = JSON.parse(
    readFileSync(join(installed, 'dist', 'cli', 'cli.js.map'), 'utf8'),
  );
  assert.equal(named.length, 1);
  assert.equal(sourcesContent[0], readFileSync(join(ROOT, 'src', 'cli', 'cli.ts'), 'utf8'));
  if (process.platform === 'linux')
    assert.ok(files.includes(join('build', 'prebuilds', MACHINE, 'vanitypool.node')));
});

test('what it brings is listed, with hashes, and nothing of development', () => {
  const path = join(place, 'tarballs', 'vanitypool.cdx.json');
  const { metadata, components } = JSON.parse(readFileSync(path, 'utf8'));
  assert.equal(metadata.component.name, 'vanitypool');
  const versions = new Map<string, string>();
  for (const { name, version, hashes } of components) {
    versions.set(name, version);
    assert.match(hashes[0].content, /^[0-9a-f]{128}$/, name);
  }
  for (const [name, version] of Object.entries(description(installed).dependencies!))
    assert.equal(versions.get(name), version, name);
  for (const name of ['typescript', 'publint', 'esbuild', 'uplot']) assert.ok(!versions.has(name));
});

test('publint has nothing to say about either package', LIMIT, async () => {
  for (const path of Object.values(tarballs!)) {
    const tarball = new Uint8Array(readFileSync(path)).buffer;
    const { messages } = await publint({ pack: { tarball }, strict: true });
    assert.deepEqual(messages, [], path);
  }
});

test('every way to import either package as a module finds its types', LIMIT, async () => {
  // As the profile "esm-only" of its command line.
  const others = new Set(['node10', 'node16-cjs']);
  for (const path of Object.values(tarballs!)) {
    const packed = createPackageFromTarballData(new Uint8Array(readFileSync(path)));
    const { types, ...found } = await checkPackage(packed);
    assert.deepEqual(types, { kind: 'included' }, path);
    assert.ok('problems' in found && Object.hasOwn(found.entrypoints, '.'));
    const problems = found.problems.filter(
      (problem) => !('resolutionKind' in problem && others.has(problem.resolutionKind)),
    );
    assert.deepEqual(problems, [], path);
  }
});

/**
 * What npm does with a git repository: it clones it, installs what it needs, and packs it, which runs `prepare`.
 * The real `npm install git+file://...` does the same in 40 s of processor time, half of them the compiler's.
 */
test('packed from a clone, as an installation from git is, it is the same package', LIMIT, (t) => {
  const listed = spawnSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    {
      cwd: ROOT,
      encoding: 'utf8',
    },
  );
  if (listed.status !== 0) return t.skip('this is no checkout of git');
  const clone = join(place, 'clone');
  const isThere = (name: string) => name !== '' && existsSync(join(ROOT, name));
  for (const file of listed.stdout.split('\0').filter(isThere)) {
    mkdirSync(dirname(join(clone, file)), { recursive: true });
    cpSync(join(ROOT, file), join(clone, file));
  }
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
  // What the compiler makes is the same; its hash is in it.
  cpSync(join(ROOT, 'build', 'prebuilds'), join(clone, 'build', 'prebuilds'), { recursive: true });
  const [{ filename }] = Object.values(JSON.parse(npm(clone, 'pack', '--json'))) as [
    { filename: string },
  ];
  const filesOf = (tarball: string) =>
    execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).split('\n').sort();
  assert.deepEqual(filesOf(join(clone, filename)), filesOf(tarballs!.program));

  const unpacked = join(program, 'node_modules', 'from-git');
  mkdirSync(unpacked);
  execFileSync('tar', ['-xzf', join(clone, filename), '--strip-components=1', '-C', unpacked]);
  const command = [process.execPath, join(unpacked, 'bin', 'vanitypool.cjs'), '--version'];
  assert.deepEqual(run(command), {
    ...{ status: 0, stdout: `${description(ROOT).version}\n`, stderr: '' },
  });
});

test('npx grinds in an empty folder', LIMIT, () => {
  const { status, stdout, stderr } = run([
    'npx',
    '--offline',
    'vanitypool',
    'grind',
    '--suffix',
    't',
  ]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /t\b/);
  assert.doesNotMatch(stderr, /compiling|portable/);
});

test('the command is the same by its link and by node, and keeps exit codes', LIMIT, () => {
  const { version } = description(ROOT);
  for (const command of [[bin], [process.execPath, join(installed, 'bin', 'vanitypool.cjs')]]) {
    assert.deepEqual(run([...command, '--version']), {
      status: 0,
      stdout: `${version}\n`,
      stderr: '',
    });
    assert.equal(run([...command, 'nonsense']).status, 2);
  }
  assert.ok(existsSync(join(place, '.cache', 'vanitypool', 'compile')), 'code is cached');
});

test('an older Node.js gets one clear line', LIMIT, () => {
  const old = join(place, 'old');
  mkdirSync(old);
  writeFileSync(join(old, 'node'), '#!/bin/sh\necho v20.20.2\n', { mode: 0o755 });
  const said = 'vanitypool: needs Node.js 24 or newer; install one, and try again\n';
  const byLink = run([bin, '--version'], { PATH: `${old}:/usr/bin:/bin` });
  assert.deepEqual(byLink, { status: 1, stdout: '', stderr: said });

  const file = join(installed, 'bin', 'vanitypool.cjs');
  const pretend = join(place, 'pretend.cjs');
  writeFileSync(pretend, `Object.defineProperty(process.versions, 'node', { value: '0.12.18' });`);
  const byNode = run([process.execPath, '--require', pretend, file, '--version']);
  assert.equal(byNode.status, 1);
  assert.match(byNode.stderr, /^vanitypool: needs Node\.js 24 or newer, and this is v\d\S+\n$/);
  // What an old one does not even parse.
  const [, code = ''] = readFileSync(file, 'utf8').split('\n*/\n');
  assert.match(code, /^'use strict';/);
  assert.doesNotMatch(
    code.replace(/\/\*\*.*/g, ''),
    /=>|`|\.\.\.|\?\.|\b(const|let|class|async|await|import)\b/,
  );
});

test('where its addon does not work it compiles one, once, and says so', LIMIT, (t) => {
  if (process.platform !== 'linux') return t.skip('there is no native kernel');
  const own = join(installed, 'build', 'prebuilds', MACHINE, 'vanitypool.node');
  t.after(() => cpSync(prebuilt(process.arch), own));
  writeFileSync(own, 'no library');
  // To compile takes 20 s: this compiler has the result.
  const compiler = join(place, 'compiler');
  const script = `#!/bin/sh
    for last; do :; done
    case "$*" in *-shared*) cp "${prebuilt(process.arch)}" "$last" ;; esac\n`;
  writeFileSync(compiler, script, { mode: 0o755 });
  const grind = [bin, 'grind', '--suffix', 't'];
  const cache = join(place, 'cache');
  const env = { XDG_CACHE_HOME: cache, CC: compiler };
  const first = run(grind, env);
  assert.equal(first.status, 0, first.stderr);
  assert.match(first.stderr, /^vanitypool: compiling the grind kernel, once$/m);
  assert.doesNotMatch(first.stderr, /portable path/);
  const second = run(grind, env);
  assert.doesNotMatch(second.stderr, /compiling|portable path/);

  // What others can write is not run.
  chmodSync(join(cache, 'vanitypool'), 0o777);
  const third = run(grind, env);
  assert.equal(third.status, 0);
  assert.match(third.stderr, /cannot be loaded \(.*\); grinding uses the portable path/);
});

test(
  'the client of its own package takes addresses from a server of the other',
  LIMIT,
  async () => {
    const user = join(place, 'user');
    mkdirSync(user);
    writeFileSync(join(user, 'package.json'), '{ "type": "module" }');
    npm(user, 'install', tarballs!.client);
    assert.deepEqual(
      readdirSync(join(user, 'node_modules')).filter((name) => !name.startsWith('.')),
      ['vanitypool-client'],
    );
    const files = readdirSync(join(user, 'node_modules', 'vanitypool-client'), { recursive: true });
    const others = files.filter((name) => !/\.(js|d\.ts|js\.map)$/.test(String(name))).sort();
    assert.deepEqual(others, ['LICENSE', 'README.md', 'package.json', 'solana']);

    await using workspace = new Workspace();
    workspace.configure([EASY_POOL], ...DILIGENT);
    // The package's command in the place of the checkout's, as `nohup` starts it.
    workspace.launcher = ['sh', '-c', `trap '' HUP; shift; exec "$0" "$@"`, bin];
    const server = await workspace.serve();
    process.kill(server.process.pid!, 'SIGHUP');
    await server.until(({ ready }) => ready >= 2);
    for (const [path, text] of [
      ['/', /src="dashboard\/main\.js"/],
      ['/dashboard/main.js', /^\/\*! uplot/],
    ] as const) {
      const reply = await fetch(`${server.url}${path}`);
      assert.equal(reply.status, 200);
      assert.match(await reply.text(), text);
    }
    const code = `
    import { VanitypoolClient } from 'vanitypool-client';
    import { createKeypairSigner } from 'vanitypool-client/solana';
    const client = new VanitypoolClient({ url: ${JSON.stringify(server.url)} });
    for (const mint of await client.dispense('pet', { count: 2 })) {
      const { address, sign } = await createKeypairSigner(mint);
      if ((await sign(new Uint8Array(100))).length === 64) console.log(address);
    }`;
    writeFileSync(join(user, 'program.js'), code);
    const said = execFileSync(process.execPath, ['program.js'], { cwd: user, encoding: 'utf8' });
    assert.match(said, /^\w+t\n\w+t\n$/);
    const kernel = server.log.find(({ msg }) => msg === 'the grind kernel is ready');
    assert.equal(kernel?.origin, process.platform === 'linux' ? 'prebuilt' : undefined);
  },
);
