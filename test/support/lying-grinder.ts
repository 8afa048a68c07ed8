/**
 * Grinds with two threads and a kernel that lies (see lying-kernel.ts) until each thread was
 * replaced, and writes what came of it as one line of JSON.
 */
import { isMainThread } from 'node:worker_threads';
import { proveKey } from '../../src/keypair/expanded.ts';
import { matches } from '../../src/keypair/pattern.ts';
import { addressIn, Grinding, job, until } from './grinding.ts';

const A = job('a', 'a');

if (isMainThread) {
  let wrong = 0;
  const grinding = new Grinding({
    onHits: async (hits) => {
      for (const hit of hits) {
        const isRight = proveKey(hit) && matches(A.pattern, addressIn(hit));
        if (!isRight) wrong++;
      }
    },
  });
  grinding.grinder.steer([A]);
  await until(() => grinding.grinder.stats().restarts >= 4);
  await grinding[Symbol.asyncDispose]();
  const { stored, posted, lines } = grinding;
  const stats = grinding.grinder.stats();
  const isComplete = stored.toSorted().join() === posted.toSorted().join();
  process.stdout.write(`${JSON.stringify({ wrong, isComplete, stats, lines })}\n`);
}
