/**
 * A restore against a model: whatever was dispensed, leased and ground before and after the backup,
 * and in whatever order the list names it, nothing that left is available afterwards, and with a
 * list exactly the rest of the backup is.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressOf } from '../../src/keypair/address.ts';
import { KEY_TYPES } from '../../src/keypair/signing-key.ts';
import { backupStore } from '../../src/store/sqlite/backup.ts';
import { restoreStore } from '../../src/store/sqlite/restore.ts';
import { AT, LostStore } from '../support/lost-store.ts';
import { checkStore, openStoreIn } from '../support/sqlite-stores.ts';
import { returnLease, turn } from '../support/turns.ts';

const RUNS = Number(process.env.FC_RUNS ?? 6);

const steps = fc.array(
  fc.record({ ground: fc.nat(20), dispensed: fc.nat(15), returned: fc.nat(9) }),
  { maxLength: 6 },
);

test('nothing that left comes again, and with a list all the rest does', async () => {
  const history = fc.record({
    before: steps,
    leased: fc.nat(9),
    after: steps,
    seed: fc.infiniteStream(fc.nat()),
    isListed: fc.boolean(),
    keys: fc.constantFrom(...KEY_TYPES),
  });
  await fc.assert(
    fc.asyncProperty(history, async ({ before, leased, after, seed, isListed, keys }) => {
      using store = new LostStore(keys);
      const left: number[] = [];
      const run = async (some: typeof before, open: Parameters<LostStore['insert']>[0]) => {
        for (const { ground, dispensed, returned } of some) {
          if (ground > 0) await store.insert(open, ground);
          left.push(...(await store.dispense(open, Math.min(dispensed, await available(open)))));
          await turn(open, 'pet', 0, returned);
          await returnLease(open, 'pet');
        }
      };
      let known = 0;
      await store.serve(async (open) => {
        await run(before, open);
        await turn(open, 'pet', 0, leased);
        known = store.addresses.length;
        await backupStore(store.directory, store.backup);
        await returnLease(open, 'pet');
        await run(after, open);
      });
      const order = left.map((id) => ({ id, by: seed.next().value as number }));
      const listed = order.sort((one, other) => one.by - other.by);
      const list = store.writeList(listed.map(({ id, by }) => ({ id, at: AT + (by % 5) * 1000 })));
      const place = store.place('new');
      const { pools } = await restoreStore({ ...place, list: isListed ? list : undefined });
      checkStore(place.directory);

      const rest = Array.from({ length: known }, (_, index) => index + 1).filter(
        (id) => !left.includes(id),
      );
      const served = await openStoreIn(place.directory);
      const { leased: again } = await turn(served, 'pet', 0, known);
      await served.close();
      assert.deepEqual(
        again.map(({ id }) => id),
        isListed ? rest : [],
      );
      for (const { id, publicKey } of again) {
        assert.equal(addressOf(publicKey), store.addresses[id - 1]);
      }
      const unknown = left.filter((id) => id > known).length;
      assert.equal(pools.pet!.unknown, isListed ? unknown : 0);
      rmSync(store.list);
    }),
    { numRuns: RUNS },
  );
});

async function available(store: Parameters<LostStore['insert']>[0]): Promise<number> {
  return (await store.counts('pet')).available;
}
