/**
 * What a client has really taken. Runs in the HTTP threads.
 *
 * Node.js tells what it gave to the system, and that takes up to some megabytes for a connection and asks for
 * more when a third of that has left: at 50 kB/s nothing seems to move for half a minute (1.5 MB at a time on a
 * loopback address). So the system is asked for what waits there. Without the native addon, and where the
 * system does not tell, that is not known, and slow clients are told apart from deaf ones less well.
 */
import type { Socket } from 'node:net';
import { loadAddon } from '../addon.ts';

/** The descriptor, of a connection with TLS too; no public name of Node.js. */
interface Handled {
  readonly _handle: { readonly fd?: number } | null;
}

const { addon } = loadAddon();

/** Bytes that have reached the other side, of all that were written to the connection. */
export function bytesTaken(socket: Socket): number {
  const file = (socket as unknown as Handled)._handle?.fd ?? -1;
  const unsent = file < 0 ? 0 : (addon?.outputUnsent(file) ?? 0);
  return socket.bytesWritten - socket.writableLength - Math.max(0, unsent);
}
