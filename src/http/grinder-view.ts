/** What the grinder of the server does, from shared memory, in the shape that leaves over HTTP. */

import type { GrinderView } from '../api/grinder.ts';
import type { GrinderThreads } from '../pool/grinder-threads.ts';
import type { GrinderBoard } from '../pool/health.ts';

export interface GrinderFigures {
  readonly board: GrinderBoard;
  readonly threads: GrinderThreads;
}

export function grinderView({ board, threads }: GrinderFigures): GrinderView {
  return {
    priorityChanges: board.get('priorityChanges'),
    threads: threads.read().map(({ priority, share }) => ({ priority, share: share ?? null })),
  };
}
