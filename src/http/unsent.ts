/**
 * What a client has really taken, whether it goes on, and its end if it does not. Runs in the HTTP threads.
 *
 * Node.js reports what it gave to the system: a large write when all of it is there, and of smaller
 * ones the
 * system takes up to some megabytes for a connection and asks for more when a third of that has left. At
 * 50 kB/s nothing seems to move for half a minute. So the handle is asked for what the system has not got yet, and
 * the system for what waits there; where the native addon is missing, and where the system does not
 * report it, that is not known, and slow clients are harder to distinguish from those that read nothing.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { loadAddon } from '../system/addon.ts';

/** No public names of Node.js. */
interface Handle {
  readonly fd?: number;
  /** Written to it, and of that what the system has not got. */
  readonly bytesWritten: number;
  readonly writeQueueSize: number;
  /** Of TLS, that of the connection below. */
  readonly _parent?: Handle;
}

const { addon } = loadAddon();

/** Bytes that have reached the other side, those of TLS itself too; 0 when the connection is closed. */
export function bytesTaken(socket: Socket): number {
  const handle = handleOf(socket);
  if (handle === null) return 0;
  const { fd = -1, bytesWritten, writeQueueSize } = handle;
  const unsent = fd < 0 ? 0 : (addon?.outputUnsent(fd) ?? 0);
  return bytesWritten - writeQueueSize - Math.max(0, unsent);
}

/**
 * Ends the connection, and what was not taken is gone, in the system too. That would keep it after a plain end, some
 * megabytes for a connection, for as long as the client takes a little, and the client would not know.
 */
export function cut(socket: Socket): void {
  const { fd = -1 } = handleOf(socket) ?? {};
  if (fd >= 0) addon?.outputDiscard(fd);
  socket.destroy();
}

/** The same for the connection of a reply, unless all of that has left the process. */
export function cutReply(reply: ServerResponse): void {
  if (reply.writableFinished) return;
  // Others of its connection come first.
  if (reply.socket === null) reply.destroy();
  else cut(reply.socket);
}

function handleOf(socket: Socket): Handle | null {
  const { _handle: handle } = socket as unknown as { readonly _handle: Handle | null };
  return handle?._parent ?? handle;
}

/** What has to be taken in the looks that are given; each more of it gives one look more. */
const PROGRESS_MIN = 16_384;
/** As many times the looks that are given are the most that was taken in advance is worth. */
const ADVANCE_MAX = 10;

/**
 * Distinguishes a client that is slow from one that takes nothing, checked from time to time. It
 * has so many looks to take 16 KiB, and more if it took more before: a look for each 16 KiB.
 *
 * For what is seen is what its system takes, not what it reads. That makes room when a whole block of what came
 * in was read, and then for all of it: 100 kB at a time over a loopback address, 600 kB for a client that reads
 * far ahead, as curl does. At 4 kB/s half a minute passes between two such steps, or two.
 */
export class Taking {
  readonly #socket: Socket;
  /** When it was last enough. */
  #taken: number;
  /** In bytes: it falls by `PROGRESS_MIN` with each look, and is gone at zero. */
  #advance: number;

  constructor(socket: Socket, looks: number) {
    this.#socket = socket;
    this.#taken = bytesTaken(socket);
    this.#advance = bounded(this.#taken, looks);
  }

  /** Whether it may go on until the next look. */
  goesOn(looks: number): boolean {
    this.#advance -= PROGRESS_MIN;
    const taken = bytesTaken(this.#socket);
    const more = taken - this.#taken;
    if (more >= PROGRESS_MIN) {
      this.#taken = taken;
      this.#advance = bounded(this.#advance + more, looks);
    }
    return this.#advance > 0;
  }
}

function bounded(advance: number, looks: number): number {
  const least = looks * PROGRESS_MIN;
  return Math.max(least, Math.min(advance, ADVANCE_MAX * least));
}
