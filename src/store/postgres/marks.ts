/**
 * What this node remembers of what it did: how many turns of each queue of its run the database had, and up to
 * which id it may have leased of each lane. A database that has less went back in time, and what may have left is
 * a part of each lane from its start. Runs in the store thread.
 *
 *   <store id>-<place>.marks   in the directory of the node, mode 0600: lines of JSON, of which each says what is
 *                              new; the first says all
 *
 * Nothing leaves before its mark is in the file, and on the disk: ids are written ahead by up to 4,096 a lane, so
 * that not each turn waits for a sync. What is exact is written with each turn and not synced, like the dispense
 * journals: it is believed as long as the machine was not started anew, or if the run was stopped cleanly. Lanes
 * are kept for ever: a backup of any age may be put back.
 *
 * Does not: help against somebody who writes this directory.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { readRegular } from '../../disk/regular-files.ts';
import { syncName, writeNewFile } from '../../disk/synced-writes.ts';
import { VanityError } from '../../errors.ts';
import type { Range } from '../ranges.ts';
import type { Sight } from './database-sight.ts';
import { lanesOf } from './ids.ts';

const AHEAD_IDS = 4096;
/** More than years of lanes. */
const BYTES_MAX = 2 ** 28;
/** What is added to a file before it is written anew. */
const ADDED_BYTES_MAX = 2 ** 20;

/** Who writes it. */
export interface MarksOf {
  readonly storeId: string;
  readonly node: { readonly id: string; readonly place: string };
  /** Of the machine's start; undefined if there is none. */
  readonly bootId: string | undefined;
}

/** Of all tokens that there were. */
export interface ValidTokens {
  /** The id of the last one that was made: clocks of nodes differ, and ids are given in one order. */
  readonly last: number;
  readonly ids: readonly number[];
}

/** What is left out did not change. */
interface Line {
  readonly node?: string;
  readonly boot?: string;
  readonly epoch?: number;
  readonly run?: string;
  /** By the id of the pool. */
  readonly turns?: Readonly<Record<string, number>>;
  /** By lane: the last id that was leased, and the one before which nothing has to be written again. */
  readonly lanes?: Readonly<Record<string, readonly [last: number, limit: number]>>;
  readonly sight?: Sight | undefined;
  readonly tokens?: ValidTokens | undefined;
  readonly isStopped?: boolean;
}

export class Marks {
  readonly #path: string;
  readonly #of: MarksOf;
  readonly #turns = new Map<number, number>();
  readonly #lanes = new Map<number, { last: number; limit: number }>();
  #run: { readonly epoch: number; readonly id: string } | undefined;
  #sight: Sight | undefined;
  #tokens: ValidTokens | undefined;
  #boot: string | undefined;
  #isStopped = false;
  /** Since a run began here. */
  #isOwn = false;
  #file: number | undefined;
  /** Of the file, and how many of them were there when it was written anew. */
  #bytes = 0;
  #wholeBytes = 0;

  /** Of this directory; nothing is written yet. Error: STORE_REWOUND for a file that is damaged. */
  constructor(directory: string, of: MarksOf) {
    this.#path = join(directory, `${of.storeId}-${of.node.place}.marks`);
    this.#of = of;
    if (existsSync(this.#path)) this.#read();
  }

  get path(): string {
    return this.#path;
  }

  /** Whether the file is there. */
  get areKept(): boolean {
    return this.#boot !== undefined;
  }

  /** The last one that began, and its id in hexadecimal. */
  get run(): { readonly epoch: number; readonly id: string } | undefined {
    return this.#run;
  }

  /** By the id of the pool: at least so many of that run. */
  get turns(): ReadonlyMap<number, number> {
    return this.#turns;
  }

  get sight(): Sight | undefined {
    return this.#sight;
  }

  get tokens(): ValidTokens | undefined {
    return this.#tokens;
  }

  /** Whether nothing was leased beyond what is known. */
  get isExact(): boolean {
    const isSure = this.#run === undefined || this.#isStopped || this.#isOwn;
    return isSure || this.#boot === this.#of.bootId;
  }

  /** By lane: the last id that may have been leased. */
  get lanes(): Map<number, number> {
    const { isExact } = this;
    return new Map(
      [...this.#lanes].map(([lane, { last, limit }]) => [lane, isExact ? last : limit]),
    );
  }

  /** A run of this node begins, of which nothing is leased; or the first one is to. On disk when it returns. */
  begin(
    run: { readonly epoch: number; readonly id: Uint8Array } | undefined,
    sight: Sight | undefined,
  ): void {
    // What nobody knows exactly is as far as it may be.
    for (const [lane, last] of this.lanes) this.#lanes.get(lane)!.last = last;
    this.#turns.clear();
    if (run !== undefined)
      this.#run = { epoch: run.epoch, id: Buffer.from(run.id).toString('hex') };
    this.#sight = sight;
    this.#boot = this.#of.bootId ?? '';
    this.#isStopped = false;
    this.#isOwn = true;
    this.#guarded(() => this.#writeAnew());
  }

  /** Of a database that has all that this node did: by lane the last id that anybody leased. */
  limit(taken: ReadonlyMap<number, number>): void {
    for (const [lane, known] of this.#lanes) {
      known.limit = Math.min(known.limit, taken.get(lane) ?? known.limit);
    }
  }

  /** Before a turn that leases these is committed. Error: DATA_NOT_WRITABLE. */
  allow(ranges: readonly Range[]): void {
    const lanes: Record<string, [number, number]> = {};
    for (const [lane, id] of lanesOf(ranges)) {
      const { last = 0, limit = 0 } = this.#lanes.get(lane) ?? {};
      if (id > limit) lanes[lane] = [last, id + AHEAD_IDS];
    }
    if (Object.keys(lanes).length === 0) return;
    this.#add({ lanes }, true);
    for (const [lane, [last, limit]] of Object.entries(lanes))
      this.#lanes.set(Number(lane), { last, limit });
  }

  /** After it, before anything of it leaves. Error: DATA_NOT_WRITABLE; then nothing may. */
  note(
    turns: ReadonlyMap<number, number>,
    ranges: readonly Range[],
    sight: Sight | undefined,
  ): void {
    const lanes: Record<string, [number, number]> = {};
    for (const [lane, id] of lanesOf(ranges)) {
      const known = this.#lanes.get(lane)!;
      known.last = Math.max(known.last, id);
      lanes[lane] = [known.last, known.limit];
    }
    for (const [pool, turn] of turns) this.#turns.set(pool, turn);
    this.#sight = sight;
    this.#add({ turns: Object.fromEntries(turns), lanes, sight }, false);
  }

  noteTokens(tokens: ValidTokens): void {
    this.#tokens = tokens;
    if (this.#file !== undefined) this.#add({ tokens }, true);
  }

  /** Nothing is leased by this run any more. */
  stop(): void {
    if (this.#file === undefined) return;
    try {
      this.#add({ isStopped: true }, true);
    } catch {
      // Then it is as one that was killed.
    }
    closeSync(this.#file);
    this.#file = undefined;
  }

  #read(): void {
    const lines = readRegular(this.#path, BYTES_MAX).toString('utf8').split('\n');
    // Empty, or cut off with its writer.
    lines.pop();
    for (const [index, text] of lines.entries()) {
      const line = lineIn(text);
      if (line === undefined || (index === 0 && line.node !== this.#of.node.id)) {
        // What was not synced may be anything after the machine lost its power.
        if (index > 0 && !this.isExact) return;
        throw damaged(this.#path);
      }
      this.#take(line);
    }
    if (this.#boot === undefined) throw damaged(this.#path);
  }

  #take({ boot, epoch, run, turns = {}, lanes = {}, sight, tokens, isStopped }: Line): void {
    this.#boot = boot ?? this.#boot;
    if (epoch !== undefined && run !== undefined) this.#run = { epoch, id: run };
    for (const [pool, turn] of Object.entries(turns)) this.#turns.set(Number(pool), turn);
    for (const [lane, [last, limit]] of Object.entries(lanes))
      this.#lanes.set(Number(lane), { last, limit });
    this.#sight = sight ?? this.#sight;
    this.#tokens = tokens ?? this.#tokens;
    this.#isStopped = isStopped === true;
  }

  #add(line: Line, isSynced: boolean): void {
    this.#guarded(() => {
      if (this.#bytes > 2 * this.#wholeBytes + ADDED_BYTES_MAX) this.#writeAnew();
      const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
      const file = this.#file!;
      try {
        if (writeSync(file, bytes) < bytes.length) throw new Error('the disk is full');
        if (isSynced) fsyncSync(file);
      } catch (error) {
        ftruncateSync(file, this.#bytes);
        throw error;
      }
      this.#bytes += bytes.length;
    });
  }

  #writeAnew(): void {
    const lanes = [...this.#lanes].map(([lane, { last, limit }]) => [lane, [last, limit]]);
    const whole = {
      ...{
        node: this.#of.node.id,
        boot: this.#boot ?? '',
        epoch: this.#run?.epoch,
        run: this.#run?.id,
      },
      ...{ turns: Object.fromEntries(this.#turns), lanes: Object.fromEntries(lanes) },
      ...{ sight: this.#sight, tokens: this.#tokens },
    };
    const bytes = Buffer.from(`${JSON.stringify(whole)}\n`);
    const next = `${this.#path}.new`;
    rmSync(next, { force: true });
    writeNewFile(next, bytes);
    renameSync(next, this.#path);
    syncName(this.#path);
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = openSync(this.#path, 'a');
    this.#bytes = this.#wholeBytes = bytes.length;
  }

  #guarded(write: () => void): void {
    try {
      write();
    } catch (cause) {
      const detail = `${this.#path}: cannot be written: ${(cause as Error).message}`;
      throw new VanityError('DATA_NOT_WRITABLE', detail, { cause });
    }
  }
}

function lineIn(text: string): Line | undefined {
  try {
    const line: unknown = JSON.parse(text);
    return typeof line === 'object' && line !== null ? (line as Line) : undefined;
  } catch {
    return undefined;
  }
}

function damaged(path: string): VanityError {
  const detail =
    'is damaged: nobody knows whether the database has all that this node did. Remove it, and start again';
  return new VanityError('STORE_REWOUND', `${path}: ${detail}`);
}
