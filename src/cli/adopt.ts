/**
 * `vanitypool adopt`: says what a data directory is that the server refuses as copied or moved.
 * No server may hold it meanwhile.
 */
import { parseArgs } from 'node:util';
import { loadConfig } from '../config.ts';
import { adoptOffline } from '../offline.ts';
import { usage } from './options.ts';

export async function adopt(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      moved: { type: 'boolean' },
      restored: { type: 'boolean' },
      config: { type: 'string' },
      data: { type: 'string' },
    },
  });
  const { moved = false, restored = false, config: file, data } = values;
  if (moved === restored) throw usage('which of both? give --moved or --restored');
  const flags = data === undefined ? {} : { 'store.url': `file:${data}` };
  const config = loadConfig({ flags, env: process.env, file });
  const burned = adoptOffline(config, moved ? 'moved' : 'restored');
  process.stdout.write(`adopted ${config.store.directory}\n`);
  for (const [pool, count] of Object.entries(burned)) {
    process.stdout.write(`pool ${pool}: ${count} burned\n`);
  }
  return 0;
}
