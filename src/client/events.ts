/**
 * The status of the server as it comes, over as many streams as it takes. What breaks a stream is no
 * error of its reader, unless asking again is no use or has not helped.
 */

import type { StreamOptions } from './call.ts';
import { type Caller, parsed } from './caller.ts';
import { EventParser } from './event-parser.ts';
import type { StatusEvent } from './replies.ts';

export async function* statusEvents(
  caller: Caller,
  { signal, silenceMs }: StreamOptions,
): AsyncGenerator<StatusEvent, void> {
  const ask = { method: 'GET', path: '/v1/events', repeatable: true, signal } as const;
  for (let failures = 0; ; ) {
    const parser = new EventParser();
    try {
      for await (const piece of caller.stream(ask, silenceMs)) {
        for (const { type, data } of parser.push(piece)) {
          if (type !== 'status') continue;
          failures = 0;
          yield parsed(data, undefined) as StatusEvent;
        }
      }
    } catch (error) {
      await caller.waitAfter(error, ++failures, signal);
    }
  }
}
