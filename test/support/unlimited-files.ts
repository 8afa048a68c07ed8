/** File descriptors without a limit, for tests of something else. */
import { FileBudget } from '../../src/pool/file-budget.ts';

export function unlimitedFiles(): FileBudget {
  const limit = Number.POSITIVE_INFINITY;
  return FileBudget.of({ limit, ofServer: 0, threads: 1, wanted: 10_000 });
}
