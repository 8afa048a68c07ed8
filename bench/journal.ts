/**
 * What does the dispense journal cost? The record that is written before a reply leaves, one by one,
 * and what the store thread takes to read it back; in memory-backed storage (`store.journal =
 * "memory"`), and in the page cache of a directory on a disk ("data").
 *
 *     node bench/journal.ts [--json] [--rounds N] [--directory DIR]
 *
 * N rounds (9) of 32,768 records for each place, which take turns; one round more comes first and
 * warms up. The records are those of plain requests and of requests with an idempotency key, half
 * each. Every 256 of them are read and confirmed, as a turn of the store does it, by a reader of
 * its own in this thread. A write is all that a reply waits for: whether there is a slot, and the record. The time of a write is that of the clock, with some 40 ns for reading it;
 * percentiles are those of a round. `--directory` says on which disk.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createPart, PartReader } from '../src/pool/journal.ts';
import { GrowingJournal, JournalWriter, partPath } from '../src/pool/journal-parts.ts';
import type { HandOut } from '../src/store/hand-out.ts';
import { atMost, currentLoad, Figures, report, runBench } from './report.ts';

const MEMORY = '/dev/shm';
/** As many slots as the largest ready queue of the defaults has cells. */
const SLOTS = 65_536;
const ROUND = 32_768;
const TURN = 256;
const IDENTITY = { storeId: '0'.repeat(32), epoch: 1, number: 1, bootId: '0'.repeat(36) };

interface Place {
  readonly what: string;
  readonly directory: string;
}

/** A journal at work, removed when it is disposed of. */
class BenchJournal implements Disposable {
  readonly #directory: string;
  readonly #writer: JournalWriter;
  readonly #reader: PartReader;
  readonly #records: readonly HandOut[];

  constructor(place: string) {
    this.#directory = mkdtempSync(join(place, 'vanitypool-bench-'));
    const { epoch, number } = IDENTITY;
    const path = partPath(this.#directory, epoch, number);
    createPart(path, IDENTITY, SLOTS);
    const journal = new GrowingJournal(epoch, [this.#directory]);
    const part = journal.next(number, path);
    journal.publish(part, 0, SLOTS);
    this.#writer = new JournalWriter(journal.shared);
    this.#reader = new PartReader(part);
    this.#records = Array.from({ length: TURN }, (_, index) => {
      const plain = { position: index, count: 1, at: Date.now(), token: 0 };
      return index % 2 === 0 ? plain : { ...plain, key: randomBytes(32), body: randomBytes(32) };
    });
  }

  /** Microseconds of each write, in ascending order, and of reading one record. */
  round(): { readonly writes: Float64Array; readonly read: number } {
    const writes = new Float64Array(ROUND);
    let readMs = 0;
    for (let done = 0; done < ROUND; done += TURN) {
      for (const [index, record] of this.#records.entries()) {
        const start = performance.now();
        this.#writer.prepare();
        this.#writer.write(record);
        writes[done + index] = 1000 * (performance.now() - start);
      }
      const start = performance.now();
      const { records } = this.#reader.read();
      this.#reader.confirm();
      readMs += performance.now() - start;
      if (records.length !== TURN)
        throw new Error(`${records.length} of ${TURN} records were read`);
    }
    return { writes: writes.sort(), read: (1000 * readMs) / ROUND };
  }

  [Symbol.dispose](): void {
    this.#writer.close();
    this.#reader.close();
    rmSync(this.#directory, { recursive: true });
  }
}

function measure({ what }: Place, journal: BenchJournal, figures: Figures): void {
  const { writes, read } = journal.round();
  const rank = (share: number) => writes[Math.ceil(share * ROUND) - 1]!;
  const average = writes.reduce((sum, us) => sum + us, 0) / ROUND;
  figures.add(`${what}: write, p50`, 'us', rank(0.5), atMost(3));
  figures.add(`${what}: write, p99`, 'us', rank(0.99), atMost(20));
  figures.add(`${what}: write, average`, 'us', average);
  figures.add(`${what}: read and confirm`, 'us', read);
}

function main(): void {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '9' },
      directory: { type: 'string', default: tmpdir() },
    },
  });
  const rounds = Number(values.rounds);
  if (!(Number.isInteger(rounds) && rounds >= 1)) {
    throw new RangeError(`--rounds: ${values.rounds} is not a whole number from 1`);
  }
  const loadBefore = currentLoad();
  const places: Place[] = [{ what: 'data', directory: values.directory }];
  if (existsSync(MEMORY)) places.unshift({ what: 'memory', directory: MEMORY });
  using resources = new DisposableStack();
  const journals = places.map(({ directory }) => resources.use(new BenchJournal(directory)));
  for (const journal of journals) journal.round();
  const figures = new Figures();
  for (let round = 0; round < rounds; round++) {
    for (const [index, place] of places.entries()) measure(place, journals[index]!, figures);
  }
  report(figures, { json: values.json, rounds, loadBefore });
}

await runBench(main);
