/** Types of setup-lock.mjs for the tests, which are TypeScript. */
export function withLock<T>(lock: string, work: () => Promise<T>): Promise<T>;
