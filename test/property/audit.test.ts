/**
 * The audit against a model of two pools whose every address is followed on its own: inserted,
 * leased, taken from the queue with a record that comes at once, late or never, returned, and
 * settled after crashes with and without journals. FC_RUNS sets the number of runs.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressOf } from '../../src/keypair/address.ts';
import { KEY_TYPES } from '../../src/keypair/signing-key.ts';
import type { HandOut } from '../../src/store/hand-out.ts';
import type { Recover } from '../../src/store/recovery.ts';
import { AuditReader } from '../../src/store/sqlite/audit-reader.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';
import { ANY_AGE, hitsFor, poolNamed } from '../support/store-subject.ts';
import { TestTime } from '../support/test-time.ts';
import { returnLease, turn as turnOf } from '../support/turns.ts';

const POOLS = ['pet', 'pump'] as const;

interface Pop {
  readonly count: number;
  readonly told: 'at once' | 'late' | 'never';
  readonly hasKey: boolean;
}
type Step =
  | { readonly do: 'insert'; readonly pool: number; readonly count: number }
  | {
      readonly do: 'turn';
      readonly pool: number;
      readonly pops: readonly Pop[];
      readonly wanted: number;
    }
  | { readonly do: 'return' | 'destroy'; readonly pool: number }
  | {
      readonly do: 'crash';
      readonly pool: number;
      readonly pops: readonly Pop[];
      readonly isTrusted: boolean;
    };

const pool = fc.nat(POOLS.length - 1);
const pops = fc.array(
  fc.record({
    count: fc.integer({ min: 1, max: 3 }),
    told: fc.constantFrom('at once', 'late', 'never'),
    hasKey: fc.boolean(),
  }),
  { maxLength: 3 },
);
const turn = fc.record({ do: fc.constant('turn' as const), pool, pops, wanted: fc.nat(12) });
/** So often that most turns find something to lease and to pop. */
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('insert' as const),
      pool,
      count: fc.integer({ min: 4, max: 12 }),
    }),
  },
  { weight: 5, arbitrary: turn },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('return', 'destroy'), pool }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      pool,
      pops,
      isTrusted: fc.boolean(),
    }),
  },
);

/** One pool as it is known from outside. */
class Line {
  readonly name: string;
  available: number[] = [];
  /** Leased, in the order of the ready queue; the first of them is at `position`. */
  queue: number[] = [];
  position = 0;
  /** Hand-outs that the store has not recorded, and for whom they are. */
  late: { record: HandOut; ids: number[] }[] = [];

  constructor(name: string) {
    this.name = name;
  }

  giveBack(): void {
    this.available = [...this.available, ...this.queue].sort((one, other) => one - other);
    this.queue = [];
  }
}

/** The store's clock stands; hand-outs of the model are of the half minute before. */
const TIME = new TestTime();
const NOW = TIME.system();
const FIRST = NOW - 30_000;

class Model implements AsyncDisposable {
  readonly directory = temporaryDirectory();
  readonly lines = POOLS.map((name) => new Line(name));
  readonly #addresses: string[] = [''];
  /** By id, what the audit has to say. */
  readonly #told = new Map<number, string>();
  #store!: Store;
  #moments = FIRST;

  async open(recover?: Recover): Promise<void> {
    const sealingKey = `file:${join(this.directory, 'sealing.key')}`;
    this.#store = await openSqliteStore({
      directory: this.directory,
      sealingKey,
      time: TIME,
      ...(recover && { recover }),
    });
    for (const [index, { name }] of this.lines.entries()) {
      await this.#store.definePool(poolNamed(name, KEY_TYPES[index % 2]));
      await this.#store.addJournals([{ pool: name, number: index + 1 }]);
    }
  }

  async run(step: Step): Promise<void> {
    const line = this.lines[step.pool]!;
    if (step.do === 'insert') await this.#insert(line, step.count);
    else if (step.do === 'turn') await this.#turn(line, step.pops, step.wanted);
    else if (step.do === 'crash') await this.#crash(line, step.pops, step.isTrusted);
    else if (step.do === 'destroy') await this.#store.destroySecrets(ANY_AGE);
    else {
      await returnLease(this.#store, line.name);
      line.giveBack();
    }
  }

  async #insert(line: Line, count: number): Promise<void> {
    const hits = hitsFor(line.name, count, KEY_TYPES[this.lines.indexOf(line) % 2]);
    await this.#store.insert(hits);
    for (const { publicKey } of hits) {
      line.available.push(this.#addresses.length);
      this.#addresses.push(addressOf(publicKey));
    }
  }

  async #turn(line: Line, pops: readonly Pop[], wanted: number): Promise<void> {
    const known = line.late;
    line.late = [];
    const popped = this.#pop(line, pops, known);
    const records = known.map(({ record }) => record);
    await turnOf(this.#store, line.name, popped, wanted, { records, journals: new Map() });
    for (const one of known) this.#tell(one);
    line.queue.push(...line.available.splice(0, wanted));
  }

  /** A line that popped what no turn recorded; the others had recorded all but their late records. */
  async #crash(line: Line, pops: readonly Pop[], isTrusted: boolean): Promise<void> {
    const inJournal = [...line.late];
    if (isTrusted) {
      // What was popped behind the last record is in no journal: it did not leave.
      const before = { queue: [...line.queue], position: line.position };
      line.late = [];
      this.#pop(line, pops, inJournal);
      inJournal.push(...line.late);
      const ends = inJournal.map(({ record }) => record.position + record.count);
      const popped = Math.max(before.position, ...ends) - before.position;
      for (const id of before.queue.slice(0, popped)) this.#told.set(id, 'dispensed');
      for (const id of before.queue.slice(popped)) this.#told.delete(id);
      line.queue = before.queue.slice(popped);
      line.late = inJournal;
    }
    await this.#store.close();
    const all = this.lines.map(({ late }) => late);
    await this.open(
      isTrusted ? ({ number }) => all[number - 1]!.map(({ record }) => record) : undefined,
    );
    for (const one of this.lines) {
      if (isTrusted) {
        for (const late of one.late) this.#tell(late);
        one.giveBack();
      } else {
        for (const id of one.queue) this.#told.set(id, 'burned crash');
        one.queue = [];
      }
      one.late = [];
      one.position = 0;
    }
  }

  /** Takes them from the queue; records go to `known`, the late ones to the line. How many. */
  #pop(line: Line, pops: readonly Pop[], known: Line['late']): number {
    const start = line.position;
    for (const { count, told, hasKey } of pops) {
      if (count > line.queue.length) continue;
      const ids = line.queue.splice(0, count);
      for (const id of ids) this.#told.set(id, 'dispensed');
      const at = ++this.#moments;
      const key = createHash('sha256').update(String(at)).digest();
      const from = { position: line.position, count, at, token: 0 };
      const record = hasKey ? { ...from, key, body: key } : from;
      line.position += count;
      if (told !== 'never') (told === 'late' ? line.late : known).push({ record, ids });
    }
    return line.position - start;
  }

  #tell({ record: { at, key }, ids }: Line['late'][number]): void {
    const of = key === undefined ? '' : ` ${Buffer.from(key).toString('hex')}`;
    for (const id of ids) this.#told.set(id, `dispensed ${at}${of}`);
  }

  async check(limit: number): Promise<void> {
    const sealingKey = `file:${join(this.directory, 'sealing.key')}`;
    await using reader = await AuditReader.open(this.directory, sealingKey);
    const found = new Map<number, string>();
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page = await reader.page({ after, limit });
      for (const { id, address, state, at, keyHash, cause } of page.addresses) {
        assert.equal(address, this.#addresses[id]);
        assert.ok(at <= NOW);
        const moment = at < NOW ? ` ${at}` : '';
        const key = keyHash === undefined ? '' : ` ${Buffer.from(keyHash).toString('hex')}`;
        found.set(id, `${state}${moment}${key}${cause === undefined ? '' : ` ${cause}`}`);
      }
      after = page.next;
    }
    const ids = [...this.#told].sort(([one], [other]) => one - other);
    assert.deepEqual([...found], ids);
    assert.equal((await reader.store()).listed, ids.length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store.close();
    removeDirectory(this.directory);
  }
}

test('an audit says of every address what became of it', { timeout: 300_000 }, async () => {
  const numRuns = Number(process.env.FC_RUNS ?? 18);
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 30, size: 'max' }),
      fc.integer({ min: 1, max: 40 }),
      async (steps, limit) => {
        await using model = new Model();
        await model.open();
        for (const one of steps) {
          await model.run(one);
          await model.check(limit);
        }
      },
    ),
    { numRuns },
  );
});
