/** Types of tarballs.mjs for the tests, which are TypeScript. */
export function makeTarballs(
  directory: string,
): Promise<{ readonly program: string; readonly client: string } | undefined>;
