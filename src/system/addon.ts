/**
 * The native addon: what C does for us, the grind kernel and what Node.js lacks of the system. Any
 * thread may load it. It may be missing: without a compiler, on other systems, or after an update
 * until it is built again; who loads it says what serves instead.
 *
 * A checkout builds its own. A package brings one for each kind of machine, and where that does not
 * load or computes wrong, one that was compiled here serves (own-addon.ts).
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { addonInCache, compileIntoCache, IS_PACKAGE } from './own-addon.ts';

/** What native/binding.c exports. Calls that return numbers give errors of the system negative. */
export interface Addon {
  // 0 if it derives a published key right: asked once by each thread, before anything else.
  check(): number;
  // src/grinder/native-kernel.ts, src/system/process.ts
  levelName(isa: string | undefined): string | undefined;
  open(isa: string, patterns: BigUint64Array, memoryBytes: number, isExpanded: boolean): unknown;
  slice(search: unknown, budgetUs: number, hits: Uint8Array): [number, number, number];
  close(search: unknown): void;
  tableBytes(search: unknown): number;
  derive(search: unknown, seeds: Uint8Array, publicKeys: Uint8Array): void;
  lower(nice: number): number;
  harden(): number;
  exit(code: number): void;
  // src/system/end-with-parent.ts
  endWithParent(parent: number): number;
  // src/disk, by native/disk.h
  lock(file: number): number;
  isLocked(file: number): number;
  generation(path: string, file: number): string | number;
  // src/cli/output.ts and src/http/unsent.ts, by native/output.h
  outputError(file: number): number;
  outputUnsent(file: number): number;
  outputDiscard(file: number): number;
}

const FUNCTIONS: readonly (keyof Addon)[] = [
  'check',
  'levelName',
  'open',
  'slice',
  'close',
  'tableBytes',
  'derive',
  'lower',
  'harden',
  'exit',
  'endWithParent',
  'lock',
  'isLocked',
  'generation',
  'outputError',
  'outputUnsent',
  'outputDiscard',
];

/** Where the addon that serves is from. */
export type AddonOrigin = 'built' | 'prebuilt' | 'compiled here';

export type LoadedAddon =
  | { readonly addon: Addon; readonly origin: AddonOrigin; readonly problem?: never }
  | { readonly addon?: never; readonly origin?: never; readonly problem: string };

type Place = readonly [origin: AddonOrigin, path: () => string | undefined];

const PREBUILT = `../../build/prebuilds/${process.platform}-${process.arch}/vanitypool.node`;

const PLACES: readonly Place[] = IS_PACKAGE
  ? [
      ['prebuilt', () => fileURLToPath(new URL(PREBUILT, import.meta.url))],
      ['compiled here', addonInCache],
    ]
  : [['built', () => fileURLToPath(new URL('../../build/vanitypool.node', import.meta.url))]];

/** The first that is there and works; else what is wrong with the first that is there. */
export function loadAddon(
  places = PLACES,
  open: (path: string) => Addon = createRequire(import.meta.url),
): LoadedAddon {
  let problem: string | undefined;
  for (const [origin, find] of places) {
    const path = find();
    if (path === undefined || !existsSync(path)) continue;
    const found = tryAddon(path, open);
    if (typeof found !== 'string') return { addon: found, origin };
    problem ??= found;
  }
  return { problem: problem ?? 'the native grind kernel is not built' };
}

/** Before anything that grinds: a package for which none works here compiles one, if it can. Main thread. */
export function prepareAddon(): void {
  if (IS_PACKAGE && loadAddon().addon === undefined) compileIntoCache();
}

/** What is wrong with it, if it does not work. */
function tryAddon(path: string, open: (path: string) => Addon): Addon | string {
  let addon: Addon;
  try {
    addon = open(path);
  } catch (error) {
    return `the native grind kernel cannot be loaded (${(error as Error).message})`;
  }
  if (!FUNCTIONS.every((name) => typeof addon[name] === 'function')) {
    const remedy = 'build it again: node tools/build-native.mjs';
    return `the native grind kernel is of another version (${remedy})`;
  }
  return addon.check() === 0
    ? addon
    : 'the native grind kernel computes wrong keys on this machine';
}
