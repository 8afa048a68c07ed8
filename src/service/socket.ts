/** The Unix socket of a server, before it listens there. Main thread. */
import { lstatSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { VanityError } from '../errors.ts';

/** A socket that nobody listens on is left of a server that was killed: it is removed. */
export async function freeSocket(path: string): Promise<string> {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return path;
  if (!stats.isSocket()) throw new VanityError('BIND_REFUSED', `unix:${path}: a file is there`);
  const socket = connect(path);
  const isTaken = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') rmSync(path, { force: true });
      resolve(false);
    });
  });
  socket.destroy();
  if (isTaken) throw new VanityError('PORT_IN_USE', `unix:${path}: another server listens there`);
  return path;
}
