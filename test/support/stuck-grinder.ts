/** Grinds with a kernel that hangs (see stuck-kernel.ts) until SIGTERM, closes, and ends with 7. */
import { writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { endProcess } from '../../src/system/process.ts';
import { Grinding, job } from './grinding.ts';

if (isMainThread) {
  const { grinder } = new Grinding({ threads: 1 });
  process.once('SIGTERM', async () => {
    await grinder.close();
    writeSync(1, 'closed\n');
    endProcess(7);
  });
  grinder.steer([job('a', 'a')]);
}
