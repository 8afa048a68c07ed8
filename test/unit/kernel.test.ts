import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type KernelHit, PATTERNS_MAX } from '../../src/grinder/kernel.ts';
import { kernelLevels, loadKernel } from '../../src/grinder/load-kernel.ts';
import { parsePattern } from '../../src/keypair/pattern.ts';
import { findCompiler } from '../../tools/build-native.mjs';

const source = fileURLToPath(new URL('../../src/', import.meta.url));
const kernelUrl = new URL('../../src/grinder/load-kernel.ts', import.meta.url).href;
const processUrl = new URL('../../src/system/process.ts', import.meta.url).href;
const pattern = parsePattern({ prefix: '', suffix: 'a', ignoreCase: false });

/** A copy of the sources where no addon is built, or something else than an addon. */
function checkout(t: TestContext, addon?: string | Uint8Array): string {
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-kernel-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  cpSync(source, join(directory, 'src'), { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  if (addon !== undefined) {
    mkdirSync(join(directory, 'build'));
    writeFileSync(join(directory, 'build', 'vanitypool.node'), addon);
  }
  return join(directory, 'src', 'grinder', 'load-kernel.ts');
}

/** What a program that knows the module as `imported` prints, as JSON. */
function run(module: string, program: string, env: Record<string, string> = {}): unknown {
  const code = `import * as imported from ${JSON.stringify(module)};
    console.log(JSON.stringify(await (${program})()));`;
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', code],
    { encoding: 'utf8', env: { PATH: process.env.PATH, ...env } },
  );
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

const LOAD = `() => {
  try {
    const { kernel: { isa }, warning } = imported.loadKernel();
    return { isa, warning };
  } catch ({ code, message }) {
    return { code, message };
  }
}`;

test('the native kernel is taken where it is built, without a warning', () => {
  const { kernel, warning } = loadKernel();
  assert.equal(kernel.isa, kernelLevels().at(-1));
  assert.notEqual(kernel.isa, 'js');
  assert.equal(warning, undefined);
});

test('VANITYPOOL_ISA names the level', () => {
  for (const isa of kernelLevels()) {
    assert.deepEqual(run(kernelUrl, LOAD, { VANITYPOOL_ISA: isa }), { isa });
  }
  const best = kernelLevels().at(-1);
  assert.deepEqual(run(kernelUrl, LOAD, { VANITYPOOL_ISA: '' }), { isa: best });
});

test('a level that does not exist is refused, with those that do', () => {
  const message = `VANITYPOOL_ISA: this machine and build have ${kernelLevels().join(', ')}, not "sse9"`;
  assert.throws(() => loadKernel('sse9'), { code: 'CONFIG_INVALID', message });
  assert.throws(() => loadKernel('x'.repeat(1000)), { code: 'CONFIG_INVALID' });
});

test('without the addon the portable path serves, with a warning', (t) => {
  assert.deepEqual(run(checkout(t), LOAD), {
    isa: 'js',
    warning:
      'the native grind kernel is not built; grinding uses the portable path, hundreds of times slower',
  });
});

test('an addon of another kind of machine is passed over, with a warning', (t) => {
  const loaded = run(checkout(t, 'no library'), LOAD) as { isa: string; warning: string };
  assert.equal(loaded.isa, 'js');
  assert.match(loaded.warning, /^the native grind kernel cannot be loaded \(.+\); grinding uses/);
});

test('an addon of another version is passed over, with what to type', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-addon-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const [code, library] = [join(directory, 'old.c'), join(directory, 'old.node')];
  writeFileSync(code, '#include <node_api.h>\nNAPI_MODULE_INIT() { (void)env; return exports; }\n');
  const headers = fileURLToPath(
    new URL('../../node_modules/node-api-headers/include', import.meta.url),
  );
  const flags =
    process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared'];
  const args = [...flags, '-fPIC', '-I', headers, code, '-o', library];
  assert.equal(spawnSync(findCompiler()!, args).status, 0);
  const loaded = run(checkout(t, readFileSync(library)), LOAD) as { isa: string; warning: string };
  assert.equal(loaded.isa, 'js');
  assert.match(
    loaded.warning,
    /of another version \(build it again: node tools\/build-native\.mjs\)/,
  );
});

test('a native level that is asked for and cannot be had is an error', (t) => {
  assert.deepEqual(run(checkout(t), LOAD, { VANITYPOOL_ISA: 'portable' }), {
    code: 'CONFIG_INVALID',
    message: 'VANITYPOOL_ISA: "portable" cannot be had: the native grind kernel is not built',
  });
});

test('a search takes 1 to 1024 patterns', () => {
  const { kernel } = loadKernel();
  assert.throws(() => kernel.open([]), RangeError);
  assert.throws(() => kernel.open(Array(PATTERNS_MAX + 1).fill(pattern)), RangeError);
  const search = kernel.open(Array(PATTERNS_MAX).fill(pattern));
  const hits: KernelHit[] = [];
  while (hits.length === 0) hits.push(...search.slice(5, 10).hits);
  assert.ok(hits.every((hit) => hit.pattern === 0));
  search.close();
});

test('several threads grind at once, and may end without closing their search', async () => {
  const program = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.module).then(({ loadKernel }) => {
      const { kernel } = loadKernel();
      const search = kernel.open([workerData.pattern]);
      kernel.lower('idle');
      let found = 0;
      while (found === 0) found = search.slice(5, 10).hits.length;
      parentPort.postMessage(found);
    });`;
  for (let round = 0; round < 3; round++) {
    const workers = Array.from(
      { length: 4 },
      () => new Worker(program, { eval: true, workerData: { module: kernelUrl, pattern } }),
    );
    const ends = workers.map((worker) => once(worker, 'exit'));
    for (const found of workers.map((worker) => once(worker, 'message'))) {
      assert.ok((await found)[0] > 0);
    }
    for (const end of ends) assert.deepEqual(await end, [0]);
  }
});

test('a hardened process makes no core dumps and cannot be read by others', () => {
  const program = `async () => {
    const hardened = imported.hardenProcess();
    const { readFileSync } = await import('node:fs');
    const limits = readFileSync('/proc/self/limits', 'utf8').match(/Max core file size +(\\S+)/);
    const { uid } = (await import('node:fs')).statSync('/proc/self/mem');
    return { hardened, core: limits[1], owner: uid };
  }`;
  // Files in /proc of a process that is not dumpable belong to root.
  assert.deepEqual(run(processUrl, program), { hardened: true, core: '0', owner: 0 });
});

test('idle priority holds for the thread that asks', () => {
  const program = `async () => {
    const { readFileSync } = await import('node:fs');
    const policy = () => Number(readFileSync('/proc/thread-self/stat', 'utf8').split(') ')[1].split(' ')[38]);
    const before = policy();
    imported.loadKernel().kernel.lower('idle');
    return { before, after: policy() };
  }`;
  // 5 is SCHED_IDLE in <linux/sched.h>.
  assert.deepEqual(run(kernelUrl, program), { before: 0, after: 5 });
});
