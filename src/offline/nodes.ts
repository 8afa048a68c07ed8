/** The nodes of a database, beside whatever runs. Runs in the main thread. */
import type { Config } from '../config/config.ts';
import type { Loss, StoreNodes } from '../store/node-store.ts';
import { enrolNode, listNodes, retireNode } from '../store/open-store.ts';

/** What the node is called. Errors: as of `enrolNode`. */
export function enrolNodeOffline(
  { store }: Config,
  id: string,
  signKey: Uint8Array,
): Promise<{ readonly name: string }> {
  return enrolNode(store, { id, signKey });
}

/** Errors: as of `listNodes`. */
export function nodesOffline({ store }: Config): Promise<StoreNodes> {
  return listNodes(store);
}

/** Who there is then. Errors: as of `retireNode`. */
export async function retireOffline(
  { store }: Config,
  ids: readonly string[],
  loss: Loss,
): Promise<StoreNodes> {
  for (const id of ids) await retireNode(store, id, loss);
  return listNodes(store);
}
