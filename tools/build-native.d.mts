/** Types of build-native.mjs for the tests, which are TypeScript. */
export function buildNative(): Promise<boolean>;
export function findCompiler(): string | undefined;
export function flagsOf(file: string, arch?: string): string[];
export function sourceFiles(arch?: string): string[];
