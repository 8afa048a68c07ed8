/**
 * A process whose files may not grow beyond a limit: it fills the store until that fails, goes on
 * with what needs no room, and writes what it did as one JSON line. Arguments: the data directory.
 */
import { VanityError } from '../../src/errors.ts';
import { publicKeyHash } from '../../src/keypair/seal.ts';
import { openStoreIn } from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

/** More than one batch of these has room for, so that it fails half-way. */
const BIG = 2048;
const SMALL = 4;

const store = await openStoreIn(process.argv[2]!);
await store.definePool(poolNamed('pet'));
const acknowledged: string[] = [];
const failures: string[] = [];

async function insert(count: number): Promise<boolean> {
  const hits = hitsFor('pet', count);
  try {
    await store.insert(hits);
  } catch (error) {
    if (!(error instanceof VanityError)) throw error;
    failures.push(`${error.code}: ${error.message}`);
    return false;
  }
  acknowledged.push(...hits.map((hit) => publicKeyHash(hit.publicKey).toString('hex')));
  return true;
}

await insert(SMALL);
while (await insert(BIG));
const { available } = await store.counts('pet');
const afterFailure = await insert(SMALL);
const { leased } = await turn(store, 'pet', 0, SMALL);
const { counts } = await turn(store, 'pet', leased.length, 0);
await store.close();
console.log(JSON.stringify({ acknowledged, failures, available, afterFailure, counts }));
