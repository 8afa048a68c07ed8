/** Types of build-package.mjs for the tests, which are TypeScript. */
export function buildAddon(arch: string): Promise<boolean>;
export function buildPackage(): Promise<boolean>;
export function prebuilt(arch: string): string;
