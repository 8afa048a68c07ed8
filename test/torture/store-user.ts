/**
 * A process that uses a store without end, to be killed at any moment: it inserts, leases and
 * dispenses, and writes a line for each call that returned, straight away. What a line says was
 * acknowledged. Arguments: the data directory.
 *
 *   open BURNED                 insert HASH HASH ...           turn DISPENSED ID ID ...
 */
import { randomInt } from 'node:crypto';
import { writeSync } from 'node:fs';
import { publicKeyHash } from '../../src/keypair/seal.ts';
import { openStoreIn } from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

const STDOUT = 1;
const say = (...words: unknown[]) => writeSync(STDOUT, `${words.join(' ')}\n`);

const store = await openStoreIn(process.argv[2]!);
await store.definePool(poolNamed('pet'));
say('open', store.recovered.pet?.burned ?? 0);
for (let leased = 0; ; ) {
  const hits = hitsFor('pet', randomInt(1, 60));
  await store.insert(hits);
  say('insert', ...hits.map((hit) => publicKeyHash(hit.publicKey).toString('hex')));
  for (let turns = randomInt(0, 4); turns > 0; turns--) {
    const dispensed = randomInt(0, leased + 1);
    const report = await turn(store, 'pet', dispensed, randomInt(0, 30));
    leased += report.leased.length - dispensed;
    say('turn', dispensed, ...report.leased.map(({ id }) => id));
  }
}
