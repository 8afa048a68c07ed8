/**
 * A process that is of no use without the one that started it ends with it, however that ends: killed
 * or crashed, it ends nobody itself. Called first thing in the main thread, which may be in one long
 * call from then on.
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
