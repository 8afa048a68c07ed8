/** The messages between the main thread and a grinder thread: orders one way, reports the other. */
import type { Hit, KeyType } from '../keypair/signing-key.ts';
import type { Priority } from '../system/priority.ts';
import type { Allowance, GrindJob } from './job.ts';

export interface GrinderWorkerData {
  /** Most hits of one report. */
  readonly batch: number;
  readonly sliceMs: number;
  readonly priority: Priority;
  /** Hits that may wait to be stored before the thread pauses. */
  readonly unstoredMax: number;
  /** How many wait already, posted by the thread that this one replaces. */
  readonly unstored: number;
}

export type Order =
  /** Replaces what was ground before; no jobs: sleep. */
  | { readonly kind: 'grind'; readonly jobs: readonly GrindJob[]; readonly allowed: Allowance }
  /** For the same jobs, in place of what was allowed before. */
  | { readonly kind: 'allow'; readonly allowed: Allowance }
  /** So many more of the posted hits are stored; negative: the thread before posted so many more. */
  | { readonly kind: 'stored'; readonly count: number }
  | { readonly kind: 'stop' };

export interface Loaded {
  readonly kind: 'loaded';
  readonly isa: string;
  /** Of the kernel, for the operator. */
  readonly warning: string | undefined;
  /** Where native code is from; undefined for the portable path. */
  readonly origin: string | undefined;
}

/** What keys of one type took. */
export interface Tried {
  readonly attempts: number;
  /** A slice, and the proof of its hits. */
  readonly turns: number;
  /** Of all turns, from the end of the turn before, of whatever type that was. */
  readonly turnsMs: number;
}

/** What happened since the last report; sent with every hit, else ten times a second. */
export interface Progress {
  readonly kind: 'progress';
  readonly tried: Readonly<Record<KeyType, Tried>>;
  /** In which the attempts were made. */
  readonly elapsedMs: number;
  /** Of that, time on a core. */
  readonly cpuMs: number;
  readonly hits: readonly Hit[];
  /** Hits that the kernel or the proof found wrong. */
  readonly faults: number;
}

/** The tables are built and the first search is open. */
export interface Opened {
  readonly kind: 'opened';
  readonly tableBytes: number;
}

export type Report = Loaded | Opened | Progress;
