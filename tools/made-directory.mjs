/**
 * Directories that are made from sources: built aside and renamed when they are whole, with a hash of the
 * sources in them, so that what is interrupted leaves no half of one. Runs on any Node.js >= 18.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** `sources` gives paths from the root of the checkout; where there is no `output` they need not be there. */
export function isMadeFrom(output, sources) {
  const stamp = join(output, '.hash');
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === hashOf(sources());
}

/** `make` fills a new directory, or returns false: then `output` stays as it was. Returns the same. */
export async function makeDirectory(output, sources, make) {
  const hash = hashOf(sources());
  const build = join(root, 'build');
  mkdirSync(build, { recursive: true });
  const work = mkdtempSync(join(build, `${basename(output)}-`));
  try {
    const made = join(work, 'made');
    mkdirSync(made);
    if (!(await make(made, work))) return false;
    writeFileSync(join(made, '.hash'), hash);
    rmSync(output, { recursive: true, force: true });
    renameSync(made, output);
    return true;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function hashOf(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(file).update(readFileSync(join(root, file)));
  return hash.digest('hex');
}
