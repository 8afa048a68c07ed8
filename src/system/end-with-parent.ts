/**
 * Ends this process when the one that started it has ended, killed or crashed too: it is of no use alone.
 * Called first in the main thread, which may then be in one long call.
 *
 * On Linux the system does it, for the thread that started the process, too. Elsewhere a thread
 * watches standard input (parent-watch.ts), a pipe whose other end the parent holds.
 */

import { once } from 'node:events';
import { entry } from '../entry.ts';
import { type Addon, loadAddon } from './addon.ts';
import { startThread } from './threads.ts';

const WATCH = entry(import.meta.url, './parent-watch');

/** `parent` is the process that started this one. Error: SYSTEM_LIMIT_REACHED. */
export async function endWithParent(
  parent: number,
  addon: Pick<Addon, 'endWithParent'> | undefined = loadAddon().addon,
): Promise<void> {
  if (addon?.endWithParent(parent) === 0) return;
  const onEnd = () => undefined;
  const watch = startThread({ name: 'watch', entry: WATCH, data: {}, onEnd });
  await once(watch, 'message');
  watch.unref();
}
