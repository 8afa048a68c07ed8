/**
 * Open streams of server-sent events, each of which gets the status once a second. Runs in an HTTP
 * thread, which has streams of its own.
 *
 * Each beat checks each stream again: it ends if its reader may no longer read. The bytes
 * of a message are made once a beat for all that see the same pools. A message is written only when the
 * one before it is out of our memory, so that a reader that is slow misses some and costs one message at
 * most; one that takes nothing for ten beats is dropped.
 *
 * A message of 92 kB takes 19 us of the processor to write as bytes, most of it the system's, and 34 us as
 * text. Past the reply, straight into its connection, would be 17 us: not worth framing chunks by hand.
 */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { VanityError } from '../errors.ts';
import type { EventIds } from './event-ids.ts';
import { cutReply } from './unsent.ts';

/** Open ones of a thread: each costs a connection and a message in memory. */
export const STREAMS_MAX = 64;
const BEAT_MS = 1000;
/** After so many without a message taken. */
const BEHIND_MAX = 10;
/** Beats from one comment to the next, which is what proxies look for: 15 s. */
const COMMENT_EVERY = 15;
const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // A proxy that gathers replies would hold the events back.
  'x-accel-buffering': 'no',
};
/** How long a reader waits before it reconnects, in ms; and a first line that shows it is open. */
const OPENING = 'retry: 1000\n: status, once a second\n\n';
const COMMENT = ': still here\n\n';

/** Names of the pools that a reader may see; undefined for all. */
export type Sight = readonly string[] | undefined;

interface Stream {
  /** Throws when the reader may not read any more. */
  readonly look: () => Sight;
  sight: Sight;
  /** Of the sight: the same for all that see the same pools. */
  alike: string;
  behind: number;
}

export class EventStreams {
  readonly #statusOf: (sight: Sight) => string;
  readonly #ids: EventIds;
  readonly #beatMs: number;
  readonly #streams = new Map<ServerResponse, Stream>();
  #timer: NodeJS.Timeout | undefined;
  #beats = 0;
  #isClosed = false;

  /** `statusOf` gives the status of the pools that are seen, as JSON. */
  constructor(statusOf: (sight: Sight) => string, ids: EventIds, beatMs = BEAT_MS) {
    this.#statusOf = statusOf;
    this.#ids = ids;
    this.#beatMs = beatMs;
  }

  get count(): number {
    return this.#streams.size;
  }

  /**
   * Takes the reply over, with `headers` beside those of a stream, and sends the first status.
   * Errors: those of `look`, OVERLOADED, DRAINING.
   */
  open(reply: ServerResponse, headers: OutgoingHttpHeaders, look: () => Sight): void {
    if (this.#isClosed) throw new VanityError('DRAINING', 'the server is shutting down');
    if (this.#streams.size >= STREAMS_MAX) {
      const detail = `event streams: ${STREAMS_MAX} are open, and no more are served`;
      throw new VanityError('OVERLOADED', detail, { retryAfterSeconds: 1 });
    }
    const sight = look();
    const first = this.#message(sight, OPENING);
    this.#streams.set(reply, { look, sight, alike: alikeOf(sight), behind: 0 });
    reply.once('close', () => this.#forget(reply));
    reply.writeHead(200, { ...headers, ...HEADERS }).write(first);
    this.#timer ??= setInterval(() => this.#beat(), this.#beatMs);
  }

  /** Ends all streams, and serves no more. */
  close(): void {
    this.#isClosed = true;
    for (const reply of this.#streams.keys()) end(reply);
  }

  #beat(): void {
    this.#beats++;
    const comment = this.#beats % COMMENT_EVERY === 0 ? COMMENT : '';
    const messages = new Map<string, Buffer>();
    for (const [reply, stream] of this.#streams) {
      let sight: Sight;
      try {
        sight = stream.look();
      } catch {
        end(reply);
        continue;
      }
      if (reply.writableLength > 0) {
        stream.behind++;
        if (stream.behind === BEHIND_MAX) cutReply(reply);
        continue;
      }
      stream.behind = 0;
      if (sight !== stream.sight) {
        stream.sight = sight;
        stream.alike = alikeOf(sight);
      }
      const message = messages.get(stream.alike) ?? this.#message(sight, comment);
      messages.set(stream.alike, message);
      reply.write(message);
    }
  }

  /** An event of its own, as bytes, with what stands before it. */
  #message(sight: Sight, before: string): Buffer {
    const id = this.#ids.next();
    return Buffer.from(`${before}id: ${id}\nevent: status\ndata: ${this.#statusOf(sight)}\n\n`);
  }

  #forget(reply: ServerResponse): void {
    this.#streams.delete(reply);
    if (this.#streams.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function alikeOf(sight: Sight): string {
  return JSON.stringify(sight?.toSorted()) ?? 'all';
}

/** What the connection does not take at once is not waited for: a stop has no time for it. */
function end(reply: ServerResponse): void {
  reply.end();
  setImmediate(() => reply.destroy());
}
