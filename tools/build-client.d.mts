/** Types of build-client.mjs for the tests, which are TypeScript. */
export function buildClient(): Promise<boolean>;
export function clientSources(): string[];
