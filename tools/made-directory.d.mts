/** Types of made-directory.mjs for the tests, which are TypeScript. */
export function isMadeFrom(output: string, sources: () => string[]): boolean;
export function makeDirectory(
  output: string,
  sources: () => string[],
  make: (made: string, work: string) => Promise<boolean>,
): Promise<boolean>;
