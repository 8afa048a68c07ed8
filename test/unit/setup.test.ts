/**
 * Set-up of a checkout, with the real npm and no network: a checkout of its own whose lock file holds
 * local folders alone, one of them in the place of the Node.js that npm would bring.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findCompiler } from '../../tools/build-native.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PLATFORM = `node-${process.platform}-${process.arch}`;
/** A program of another C library: the system has no loader for it. */
const FOREIGN = '#!/lib/ld-of-another-system.so.1\n';

interface Checkout {
  readonly path: string;
  /** Runs set-up: its exit code, and what it said of its own. */
  setup(
    env?: Readonly<Record<string, string>>,
    as?: { uid: number; gid: number },
  ): { status: number | null; said: string[] };
}

/** By what npm brings as Node.js: it makes the same one each time. */
const lockFiles = new Map<string, string>();

/** `own`: what npm brings as Node.js: one that runs, one that does not, or none for this system. */
function checkout(t: TestContext, own: 'runs' | 'foreign' | 'absent'): Checkout {
  const path = mkdtempSync(join(tmpdir(), 'vanitypool-setup-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  const write = (file: string, content: object | string) => {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    writeFileSync(join(path, file), text, { mode: 0o755 });
  };
  cpSync(join(ROOT, 'tools'), join(path, 'tools'), { recursive: true });
  for (const file of ['sha512.c', 'sha512.h'])
    cpSync(join(ROOT, 'native', file), join(path, 'native', file));
  // The client is not built here: its sources are not there, which is a warning.
  mkdirSync(join(path, 'src', 'client'), { recursive: true });
  write('package.json', {
    name: 'checkout',
    version: '1.0.0',
    devDependencies: { 'vanitypool-node': 'file:tools/node' },
  });
  const os = own === 'absent' ? ['none'] : [process.platform];
  write(`brought/package.json`, {
    name: PLATFORM,
    version: '1.0.0',
    os,
    bin: { node: 'bin/node' },
  });
  if (own === 'foreign') write('brought/bin/node', FOREIGN);
  else {
    mkdirSync(join(path, 'brought', 'bin'));
    symlinkSync(process.execPath, join(path, 'brought', 'bin', 'node'));
  }
  write('tools/node/package.json', {
    name: 'vanitypool-node',
    version: '1.0.0',
    optionalDependencies: { [PLATFORM]: 'file:../../brought' },
  });
  const cache = join(path, 'npm-cache');
  const npmEnv = { npm_config_offline: 'true', npm_config_cache: cache };
  const lockFile = join(path, 'package-lock.json');
  const known = lockFiles.get(own);
  if (known !== undefined) writeFileSync(lockFile, known);
  else {
    const { status, stderr } = spawnSync(
      'npm',
      ['install', '--package-lock-only', '--loglevel=error'],
      { cwd: path, encoding: 'utf8', env: { ...process.env, ...npmEnv } },
    );
    assert.equal(status, 0, stderr);
    lockFiles.set(own, readFileSync(lockFile, 'utf8'));
  }
  const setup: Checkout['setup'] = (env = {}, as = undefined) => {
    const { status, stderr } = spawnSync(process.execPath, [join('tools', 'setup.mjs')], {
      cwd: path,
      ...as,
      encoding: 'utf8',
      env: { ...process.env, ...npmEnv, ...env },
    });
    const said = stderr
      .split('\n')
      .filter((line) => /^vanitypool: .*(npm|Node|compiler)/.test(line));
    return { status, said };
  };
  return { path, setup };
}

const INSTALLING = 'vanitypool: installing dependencies (npm ci), once';
/** Without what a slow machine hears every ten seconds. */
const steps = ({ status, said }: ReturnType<Checkout['setup']>) => ({
  status,
  said: said.filter((line) => !line.endsWith('so far')),
});

for (const [what, env] of [
  ['as it is', {}],
  [
    'with all that has it leave something out',
    {
      NODE_ENV: 'production',
      npm_config_ignore_scripts: 'true',
      npm_config_omit: 'dev\n\noptional',
    },
  ],
] as const) {
  test(`set-up installs once and finds its Node.js: npm ${what}`, (t) => {
    const { path, setup } = checkout(t, 'runs');
    assert.deepEqual(steps(setup(env)), { status: 0, said: [INSTALLING] });
    const own = join('..', 'node_modules', PLATFORM, 'bin', 'node');
    assert.equal(readlinkSync(join(path, 'build', 'node')), own);
    assert.deepEqual(steps(setup(env)), { status: 0, said: [] });
  });
}

for (const own of ['foreign', 'absent'] as const) {
  test(`where the Node.js of npm is ${own} the machine's own is used`, (t) => {
    const { path, setup } = checkout(t, own);
    const using = `vanitypool: npm has no Node.js that runs on this system: using ${process.execPath}`;
    assert.deepEqual(steps(setup()), { status: 0, said: [INSTALLING, using] });
    assert.equal(realpathSync(join(path, 'build', 'node')), realpathSync(process.execPath));
    // npm puts this folder in front of PATH: `node` of a script would be one that does not run.
    assert.equal(existsSync(join(path, 'node_modules', '.bin', 'node')), false);
    assert.deepEqual(steps(setup()), { status: 0, said: [] });
  });
}

test('a checkout that is set up', async (t) => {
  const { path, setup } = checkout(t, 'runs');
  assert.equal(setup().status, 0);

  await t.test('scripts run by what is not npm begin with the Node.js in PATH', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const { npm_node_execpath: _, ...env } = process.env;
    const places = `${dirname(process.execPath)}:${env.PATH}`;
    const { status, stderr } = spawnSync('sh', ['-c', scripts.setup], {
      cwd: path,
      encoding: 'utf8',
      env: { ...env, PATH: places },
    });
    assert.equal(status, 0, stderr);
    for (const name of ['start', 'test', 'check', 'format', 'tarballs'])
      assert.ok(scripts[name].startsWith(scripts.setup), name);
  });

  await t.test('what was installed is installed again when npm has changed it since', () => {
    const made = join(path, 'node_modules', '.package-lock.json');
    writeFileSync(made, readFileSync(made, 'utf8').replace(PLATFORM, 'another'));
    assert.deepEqual(steps(setup()), { status: 0, said: [INSTALLING] });
  });

  await t.test('what a compiler made is still good where there is none any more', (t) => {
    if (findCompiler() === undefined) return t.skip('no C compiler here');
    const without = { PATH: path, CC: '' };
    assert.deepEqual(steps(setup(without)), { status: 0, said: [] });
    const header = join(path, 'native', 'sha512.h');
    const before = readFileSync(header, 'utf8');
    writeFileSync(header, '// another');
    const said = [
      'vanitypool: no C compiler was found (CC, cc, gcc, clang); grinding will use the slow portable path',
    ];
    assert.deepEqual(steps(setup(without)), { status: 0, said });
    writeFileSync(header, before);
  });
});

test('a checkout that cannot be written serves if it is set up, and else says what to do', (t) => {
  const { path, setup } = checkout(t, 'runs');
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;
  const folders = [path, join(path, 'build')];
  const asReader = () => {
    for (const folder of folders) chmodSync(folder, 0o555);
    try {
      return steps(setup({}, nobody));
    } finally {
      for (const folder of folders) chmodSync(folder, 0o755);
    }
  };
  mkdirSync(join(path, 'build'));
  const said = [
    `vanitypool: cannot write in ${realpathSync(path)} (EACCES), and it is not set up: run 'npm run setup' there once as a user who can`,
  ];
  assert.deepEqual(asReader(), { status: 1, said });
  assert.equal(setup().status, 0);
  assert.deepEqual(asReader(), { status: 0, said: [] });
});

test('a failing npm is reported, with its exit code', (t) => {
  const { path, setup } = checkout(t, 'runs');
  writeFileSync(join(path, 'package-lock.json'), '{}');
  const failed = 'vanitypool: npm ci failed';
  assert.deepEqual(steps(setup()), { status: 1, said: [INSTALLING, failed] });
});

test('the command line says what is missing in a checkout that is not set up', (t) => {
  const path = mkdtempSync(join(tmpdir(), 'vanitypool-setup-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  cpSync(join(ROOT, 'bin'), join(path, 'bin'), { recursive: true });
  mkdirSync(join(path, 'src'));
  const [old, right] = [join(path, 'old'), join(path, 'right')];
  mkdirSync(old);
  mkdirSync(right);
  // Any program that does not find itself new enough.
  writeFileSync(join(old, 'node'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  symlinkSync(process.execPath, join(right, 'node'));
  const saidWith = (place: string) => {
    const env = { PATH: `${place}:/usr/bin:/bin` };
    const options = { encoding: 'utf8', env } as const;
    const { status, stderr } = spawnSync(join(path, 'bin', 'vanitypool'), ['--version'], options);
    assert.equal(status, 1, stderr);
    return stderr;
  };
  const root = realpathSync(path);
  assert.equal(
    saidWith(old),
    `vanitypool: needs Node.js 24 or newer; 'npm start' or 'npm run setup' in ${root} finds or installs it\n`,
  );
  assert.equal(saidWith(right), `vanitypool: not set up yet; run 'npm run setup' in ${root}\n`);
});

test('a step that takes long is announced again', { timeout: 300_000 }, async () => {
  const steps = new URL('../../tools/steps.mjs', import.meta.url).href;
  const program = `
    import { once } from 'node:events';
    import { step } from ${JSON.stringify(steps)};
    await step('waiting', () => once(process.stdin.resume(), 'end'));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program]);
  let said = '';
  for await (const text of child.stderr.setEncoding('utf8')) {
    said += text;
    if (said.includes('so far\n')) child.stdin.end();
  }
  assert.match(said, /^vanitypool: waiting\n(vanitypool: waiting: \d+ s so far\n)+$/);
});

interface LockedPackage {
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly optional?: boolean;
}

test('the lock file has a hash for each Node.js of npm, and none needs a script', () => {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  const { optionalDependencies } = packages['tools/node'] as {
    optionalDependencies: Record<string, string>;
  };
  for (const name of Object.keys(optionalDependencies)) {
    assert.match(packages[`node_modules/${name}`]!.integrity!, /^sha512-/);
  }
  const scripted = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript);
  // Optional parts of @solana/web3.js, which tests alone use. Each has the same in JavaScript beside it.
  assert.deepEqual(
    scripted.map(([name, { dev, optional }]) => [name, dev, optional]),
    [
      ['node_modules/bufferutil', true, true],
      ['node_modules/utf-8-validate', true, true],
    ],
  );
});
