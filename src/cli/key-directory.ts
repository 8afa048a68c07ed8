/** Where a command writes key files, looked at before it takes or searches anything. */
import { probeKeyDirectory } from '../keypair/key-file.ts';
import type { Screen } from './output.ts';

/**
 * Sees that `count` files can be written; the first time of a command it warns of a directory that
 * cannot be relied on. Error: FILE_NOT_WRITABLE.
 */
export function prepareDirectory(
  directory: string,
  count: number,
  stderr: Screen,
  isFirst = true,
): void {
  const reason = probeKeyDirectory(directory, count);
  if (reason === undefined || !isFirst) return;
  stderr.write(
    `${directory}: the directory cannot be synced (${reason}): a power loss may take new files with it\n`,
  );
}
