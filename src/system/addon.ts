/**
 * The native addon: what C does for us, the grind kernel and what Node.js lacks of the system. Any
 * thread may load it. It may be missing: without a compiler, on other systems, or after an update
 * until it is built again; who loads it says what serves instead.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** What native/binding.c exports. Calls that return numbers give errors of the system negative. */
export interface Addon {
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

/** A published package may bring the addon ready for its platform; a checkout builds its own. */
export function loadAddon():
  | { addon: Addon; problem?: never }
  | { addon?: never; problem: string } {
  const paths = [
    '../../build/vanitypool.node',
    `../../prebuilds/${process.platform}-${process.arch}/vanitypool.node`,
  ].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  const path = paths.find((candidate) => existsSync(candidate));
  if (path === undefined) return { problem: 'the native grind kernel is not built' };
  try {
    const addon: Addon = createRequire(import.meta.url)(path);
    if (FUNCTIONS.every((name) => typeof addon[name] === 'function')) return { addon };
    const remedy = 'build it again: node tools/build-native.mjs';
    return { problem: `the native grind kernel is of another version (${remedy})` };
  } catch (error) {
    return { problem: `the native grind kernel cannot be loaded (${(error as Error).message})` };
  }
}
