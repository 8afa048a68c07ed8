/**
 * A store on a disk that refuses to read: once, and it is tried again and goes on; all the time, and
 * it is told as what it is. To SQLite such a read is a damaged database, and the steps after damage
 * give up every address: an error of the disk is never told as one.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { FaultyDisk } from '../support/faulty-disk.ts';
import { Looker } from '../support/looker.ts';
import { openStoreIn, removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-conformance.ts';

const LIMIT = { timeout: 60_000 };
/** How many reads of the database work before one does not, or none does: any may be the one. */
const LOOKS = {
  start: { once: [1, 9, 24], forEver: [0, 9, 24] },
  check: { once: [1, 9, 24], forEver: [0, 9, 24] },
  backup: { once: [1, 9, 24], forEver: [0, 9] },
  // SQLite's check of pages meets them half way.
  pages: { once: [], forEver: [20, 22, 24, 26, 28] },
};

suite('a disk that refuses to read', { concurrency: true }, () => {
  for (const [name, { once: onceAfter, forEver }] of Object.entries(LOOKS)) {
    test(`${name}: goes on after one refusal, and tells a lasting one`, LIMIT, async (t) => {
      const root = temporaryDirectory();
      t.after(() => removeDirectory(root));
      const directory = join(root, 'data');
      const store = await openStoreIn(directory);
      await store.definePool(poolNamed('pet'));
      await store.insert(hitsFor('pet', 200));
      await store.close();
      using disk = new FaultyDisk(root, directory);
      await using looker = new Looker(directory, disk.environment);
      const place = disk.places[0]!;
      place.strikeAt(join(directory, 'store.db'));
      /** What it says when `times` reads fail after `skipped`; all of them if it is 0. */
      const look = async (skipped: number, times: number) => {
        const before = disk.refused;
        place.failAfter('EIO', 'read', skipped, times);
        const said = await looker.look(name);
        place.heal();
        assert.ok(disk.refused > before, `${name} reads more than ${skipped} times`);
        return said;
      };
      for (const skipped of onceAfter) assert.equal(await look(skipped, 1), 'ok', `${skipped}`);
      for (const skipped of forEver) {
        assert.match(await look(skipped, 0), /^STORE_UNAVAILABLE .*store\.db: /, `${skipped}`);
      }
    });
  }
});
