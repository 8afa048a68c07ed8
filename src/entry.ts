/**
 * The file of a thread or a process that this program starts. Any thread may use it.
 *
 * Sources run as they are, and compiled ones as JavaScript: so the file has the ending of the one that
 * starts it, and nobody names it.
 */
import { extname } from 'node:path';

/** `caller` is the `import.meta.url` of who starts it; `path` leads from there, without an ending. */
export function entry(caller: string, path: string): URL {
  return new URL(`${path}${extname(new URL(caller).pathname)}`, caller);
}
