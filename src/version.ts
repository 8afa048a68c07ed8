/** The version of this program, as the package says it. Any thread may use it. */
import { readFileSync } from 'node:fs';

const source = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
export const VERSION = (JSON.parse(source) as { version: string }).version;
