/** Which transactions the Solana runtime of this machine knows (`litesvm`, whose addon is one package for each). */
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ADDONS = fileURLToPath(new URL('../../node_modules/litesvm-*/package.json', import.meta.url));

/** Why transactions of version 1 cannot be tried here; false if they can. */
export const NO_VERSION_1: string | false = reason();

function reason(): string | false {
  const versions = globSync(ADDONS).map(
    (file) => JSON.parse(readFileSync(file, 'utf8')).version as string,
  );
  if (versions.some((version) => !version.startsWith('1.4.'))) return false;
  return `litesvm ${versions.join(', ')} knows no transaction of version 1`;
}
