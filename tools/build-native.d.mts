/** Types of build-native.mjs for the tests, which are TypeScript. */
export const PREBUILT: readonly string[];
export function buildForAny(arch: string, output: string): Promise<boolean>;
export function buildNative(output?: string): Promise<boolean>;
export function findCompiler(): string | undefined;
export function flagsOf(file: string, arch?: string): string[];
export function sourceFiles(arch?: string): string[];
