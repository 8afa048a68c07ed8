/**
 * `vanitypool adopt`: says what a data directory is that the server refuses as copied or moved.
 * No server may hold it meanwhile.
 */
import { adoptOffline } from '../offline/copies.ts';
import { readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { tokensOffText } from './format.ts';
import { usage } from './options.ts';
import { configAt } from './or-store.ts';
import type { Outputs } from './output.ts';

export async function adopt(args: string[], { print }: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'adopt',
    options: OPTIONS.adopt,
  });
  const { moved = false, restored = false, from } = values;
  if (moved === restored) throw usage('adopt: which of both? give --moved or --restored');
  if (restored && from !== undefined) throw usage('--from: goes with --moved, not with --restored');
  const ignoreClock = values['ignore-clock'];
  if (moved && ignoreClock) throw usage('--ignore-clock: goes with --restored, not with --moved');
  const config = configAt(values);
  const as = moved ? 'moved' : 'restored';
  const { burned, oldPlace, place, tokensOff } = await adoptOffline(config, {
    as,
    from,
    ignoreClock,
  });
  await print(`adopted ${config.store.directory}\n`);
  if (moved && from === undefined && oldPlace !== place) {
    await print('delete the old directory: what is served from there is dispensed twice\n');
  }
  for (const [pool, count] of Object.entries(burned)) {
    await print(`pool ${pool}: ${count} burned\n`);
  }
  await print(tokensOffText(tokensOff));
  return 0;
}
