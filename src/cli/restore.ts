/**
 * `vanitypool restore`: a data directory's store out of a backup. SIGINT, SIGTERM and SIGHUP end it with
 * 130, and leave no store. A second one exits at once, and may leave a file that the next removes.
 */
import { restoreOffline } from '../offline/copies.ts';
import { onePositional, readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { tokensOffText } from './format.ts';
import { INTERRUPTED, interruptible } from './options.ts';
import { configAt } from './or-store.ts';
import type { Outputs } from './output.ts';

export async function restore(args: string[], { print }: Outputs): Promise<number> {
  const { values, positionals } = readArguments(args, {
    command: 'restore',
    allowPositionals: true,
    options: OPTIONS.restore,
  });
  const file = onePositional('restore', 'file', positionals);
  const { dispensed: list, 'ignore-clock': ignoreClock } = values;
  const config = configAt(values);
  using interrupt = interruptible();
  const { signal } = interrupt;
  try {
    const { pools, tokensOff } = await restoreOffline(config, { file, list, ignoreClock, signal });
    await print(`restored ${config.store.directory} from ${file}\n`);
    for (const [pool, { dispensed, burned, available, unknown }] of Object.entries(pools)) {
      const listed = `${dispensed} dispensed, ${burned} burned by the list; ${available} available`;
      const lost = unknown === 0 ? '' : `; ${unknown} of the list are not in the backup`;
      await print(`pool ${pool}: ${list === undefined ? `${burned} burned` : listed + lost}\n`);
    }
    await print(tokensOffText(tokensOff));
    return 0;
  } catch (error) {
    if (signal.aborted) return INTERRUPTED;
    throw error;
  }
}
