import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kernelLevels, loadKernel } from '../../src/grinder/load-kernel.ts';
import { parsePattern } from '../../src/keypair/pattern.ts';

const MIB = 2 ** 20;

test('a search reports the table that it uses, of one of the sizes that there are', () => {
  const pattern = parsePattern({ prefix: '', suffix: 'Pet', ignoreCase: false });
  const native = kernelLevels().filter((isa) => isa !== 'js');
  // Portable first: a larger table, once built, serves all levels.
  for (const isa of native.toSorted(
    (a, b) => Number(b === 'portable') - Number(a === 'portable'),
  )) {
    const search = loadKernel(isa).kernel.open([pattern]);
    const mib = search.tableBytes / MIB;
    search.close();
    const sizes = isa === 'portable' ? [4, 28] : [4, 28, 288];
    assert.ok(
      sizes.some((size) => Math.abs(mib - size) < size / 8),
      `${isa}: ${mib} MiB`,
    );
  }
  const expanded = loadKernel().kernel.open([pattern], 'expanded');
  assert.equal(expanded.tableBytes, 0);
  expanded.close();
});
