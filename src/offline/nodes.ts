/** The nodes of a database, beside whatever runs. Runs in the main thread. */
import type { Config } from '../config/config.ts';
import { enrolNode } from '../store/open-store.ts';

/** What the node is called. Errors: as of `enrolNode`. */
export function enrolNodeOffline(
  { store }: Config,
  id: string,
  signKey: Uint8Array,
): Promise<{ readonly name: string }> {
  return enrolNode(store, { id, signKey });
}
