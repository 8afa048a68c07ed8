/** What the grinder of the server does, from shared memory, in the shape that leaves over HTTP. */

import type { GrinderView } from '../api/grinder.ts';
import type { GrinderThreads } from '../pool/grinder-threads.ts';
import type { GrinderBoard } from '../pool/health.ts';
import { ISA_LEVELS } from '../system/isa.ts';

export interface GrinderFigures {
  readonly board: GrinderBoard;
  readonly threads: GrinderThreads;
}

export function grinderView({ board, threads }: GrinderFigures): GrinderView {
  const figures = board.read();
  return {
    priorityChanges: figures.priorityChanges,
    instructions: ISA_LEVELS[figures.isa - 1] ?? null,
    fullAttemptsPerSecond: {
      seed: figures.fullSeedAttemptsPerSecond || null,
      expanded: figures.fullExpandedAttemptsPerSecond || null,
    },
    threads: threads.read().map(({ priority, share, attemptsPerSecond }) => ({
      priority,
      share: share ?? null,
      attemptsPerSecond: attemptsPerSecond ?? null,
    })),
  };
}
