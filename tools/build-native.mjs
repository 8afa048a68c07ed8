/**
 * Compiles native/*.c into build/vanitypool.node, or the file that is named, with whatever C compiler
 * there is. Runs on any Node.js >= 18 and only when a source, a flag or the compiler's name changed
 * since the last time. Without a compiler it says so once and returns false: the portable path
 * serves then. A package has these files too, for machines that its own addons do not fit.
 * Node-API is stable across versions of Node.js, so the addon does not care which one loads it,
 * and its symbols come from the `node` program itself: there is nothing to link with.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { run, say, step } from './steps.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, 'native');
const OUTPUT = join(root, 'build', 'vanitypool.node');

const COMMON = [
  '-std=c17',
  '-O3',
  // What the compiler vectorizes by itself, 128-bit products above all, gets slower by a third.
  '-fno-tree-vectorize',
  '-fPIC',
  '-fvisibility=hidden',
  '-fno-strict-aliasing',
  '-Wall',
  '-Wextra',
];

/** Files of a level are named after it. dispatch.c makes sure that the machine can run them. */
const LEVELS = {
  x64: {
    avx2: ['-mavx2', '-mfma', '-frounding-math'],
    // Processors with IFMA have VBMI and VNNI too, but for one of 2018.
    avx512: [
      ...['-mavx512f', '-mavx512dq', '-mavx512bw', '-mavx512vl', '-mavx512ifma'],
      ...['-mavx512vbmi', '-mavx512vnni', '-mbmi2'],
    ],
  },
};

const LINK = {
  // Worker threads come and go; the shared table must not be left behind by a library that went.
  linux: ['-shared', '-pthread', '-Wl,-z,nodelete', '-Wl,-z,relro,-z,now'],
  darwin: ['-bundle', '-undefined', 'dynamic_lookup'],
};

/**
 * For machines that nobody knows yet: no library is needed and no version of a symbol, so that any C
 * library serves that has the functions, glibc or musl. They come from the `node` program.
 */
const FOR_ANY = {
  arch: {
    x64: { compilers: ['x86_64-linux-gnu-gcc', 'gcc'], flags: [] },
    // Calls of libgcc that ask glibc what the processor has.
    arm64: { compilers: ['aarch64-linux-gnu-gcc', 'gcc'], flags: ['-mno-outline-atomics'] },
  },
  flags: ['-U_FORTIFY_SOURCE', '-fno-stack-protector'],
  link: [...LINK.linux, '-nostdlib', '-s', '-Wl,--build-id=none'],
  after: ['-lgcc'],
};

/** The kinds of machines that a package brings addons for. */
export const PREBUILT = Object.keys(FOR_ANY.arch);

/** The level of a source file by its name: 'avx512' of seed_avx512.c. */
function levelOf(file) {
  return basename(file, '.c').split('_').at(-1);
}

/** The flags of one source or test file, beyond the directories of its headers. */
export function flagsOf(file, arch = process.arch) {
  return [...COMMON, ...(LEVELS[arch]?.[levelOf(file)] ?? [])];
}

/** The names of the C sources of one kind of machine: other kinds' levels are left out. */
export function sourceFiles(arch = process.arch) {
  const others = Object.entries(LEVELS)
    .filter(([kind]) => kind !== arch)
    .flatMap(([, levels]) => Object.keys(levels));
  return readdirSync(sources)
    .filter((file) => file.endsWith('.c') && !others.includes(levelOf(file)))
    .sort();
}

const COMPILERS = [process.env.CC, 'cc', 'gcc', 'clang'].filter(Boolean);

/** The first C compiler that runs, or undefined. */
export function findCompiler() {
  return COMPILERS.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}

/** Whether the addon is there and of these sources: by this compiler, or by any where there is none now. */
function isBuilt(output, compiler) {
  const stamp = stampOf(output);
  if (!existsSync(output) || !existsSync(stamp)) return false;
  const made = readFileSync(stamp, 'utf8');
  return (compiler === undefined ? COMPILERS : [compiler]).some((name) => hashOf(name) === made);
}

/** True if the addon is there and of these sources. Prints a warning if it cannot be. */
export async function buildNative(output = OUTPUT) {
  if (LINK[process.platform] === undefined) {
    return warn(`there is no native grind kernel for ${process.platform}`);
  }
  const compiler = findCompiler();
  if (isBuilt(output, compiler)) return true;
  if (compiler === undefined) return warn('no C compiler was found (CC, cc, gcc, clang)');
  const build = {
    compiler,
    arch: process.arch,
    flags: [],
    link: LINK[process.platform],
    after: [],
  };
  const title = 'compiling the grind kernel, once';
  if (await make(output, hashOf(compiler), title, build)) return true;
  return warn('the native grind kernel does not compile');
}

/**
 * The addon of a package for one kind of machine, `arm64` or `x64`: false, after a line that says
 * so, without a compiler for it. It serves every Linux of that kind.
 */
export async function buildForAny(arch, output) {
  const { compilers, flags } = FOR_ANY.arch[arch];
  const compiler = compilers.find((name) => machineOf(name) === arch);
  if (compiler === undefined) {
    say(`no compiler for ${arch} was found (${compilers[0]}): the package gets no addon for it`);
    return false;
  }
  const hash = hashOf(JSON.stringify([compiler, FOR_ANY]));
  const stamp = stampOf(output);
  if (existsSync(output) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return true;
  const { link, after } = FOR_ANY;
  const build = { compiler, arch, flags: [...FOR_ANY.flags, ...flags], link, after };
  return make(output, hash, `compiling the grind kernel for ${arch}`, build);
}

/** Of what a compiler makes programs for, as `process.arch` names it. */
function machineOf(compiler) {
  const { stdout } = spawnSync(compiler, ['-dumpmachine'], { encoding: 'utf8' });
  return { x86_64: 'x64', aarch64: 'arm64' }[stdout?.split('-')[0]];
}

function stampOf(output) {
  return `${output}.hash`;
}

async function make(output, hash, title, build) {
  mkdirSync(dirname(output), { recursive: true });
  const work = mkdtempSync(join(dirname(output), 'native-'));
  try {
    const built = await step(title, () => compile(build, work));
    if (built === undefined) return false;
    // The stamp goes first: without it a half-done exchange is built again.
    rmSync(stampOf(output), { force: true });
    renameSync(built, output);
    writeFileSync(join(work, 'hash'), hash);
    renameSync(join(work, 'hash'), stampOf(output));
    return true;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Compiles, all processors at once, and links in `work`; the path of the library, or undefined after the compiler's words. */
async function compile({ compiler, arch, flags, link, after }, work) {
  const include = headers();
  const files = sourceFiles(arch);
  const objectOf = (file) => join(work, `${basename(file, '.c')}.o`);
  const left = files.values();
  const compileRest = async () => {
    for (const file of left) {
      const args = [...flagsOf(file, arch), ...flags, '-I', include, '-c', join(sources, file)];
      if (!(await succeeds(compiler, [...args, '-o', objectOf(file)]))) return false;
    }
    return true;
  };
  const done = await Promise.all(cpus().map(compileRest));
  if (done.includes(false)) return undefined;
  const library = join(work, 'vanitypool.node');
  const args = [...link, ...files.map(objectOf), ...after, '-o', library];
  return (await succeeds(compiler, args)) ? library : undefined;
}

/** In a package they may be a level up; a source that needs them says so if they are nowhere. */
function headers() {
  try {
    return createRequire(import.meta.url)('node-api-headers').include_dir;
  } catch {
    return join(root, 'node_modules', 'node-api-headers', 'include');
  }
}

async function succeeds(compiler, args) {
  const { status, error, stderr } = await run(compiler, args, { stdio: ['ignore', 2, 'pipe'] });
  if (status !== 0) console.error(error?.message ?? stderr);
  return status === 0;
}

/** Of everything that the library is made from. */
function hashOf(compiler) {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([compiler, process.platform, process.arch, LINK]));
  for (const file of readdirSync(sources).sort()) {
    hash.update(JSON.stringify([file, flagsOf(file)]));
    hash.update(readFileSync(join(sources, file)));
  }
  return hash.digest('hex');
}

function warn(reason) {
  say(`${reason}; grinding will use the slow portable path`);
  return false;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const [output] = argv.slice(2);
  process.exitCode = (await buildNative(output && resolve(output))) ? 0 : 1;
}
