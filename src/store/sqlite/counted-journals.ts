/** The dispense journals that the next start has to find. Runs in the store thread. */
import type { NewJournal } from '../recovery.ts';
import type { Run } from './run.ts';
import type { Statements } from './statements.ts';

export class CountedJournals {
  readonly #statements: Statements;
  readonly #run: Run;
  /** Pools whose hand-outs stand in a journal, too, by id. */
  readonly #pools = new Set<number>();

  constructor(statements: Statements, run: Run) {
    this.#statements = statements;
    this.#run = run;
  }

  areOf(pool: number): boolean {
    return this.#pools.has(pool);
  }

  add(journals: readonly NewJournal[], idOf: (pool: string) => number): void {
    const names = new Set(journals.map(({ pool }) => pool));
    const ids = new Map([...names].map((name) => [name, idOf(name)]));
    const { addJournal, removeJournal } = this.#statements;
    this.#run.transaction(() => {
      for (const { pool, number } of journals) addJournal.run(number, ids.get(pool)!);
    }, true);
    try {
      this.#run.take();
    } catch (error) {
      // Nobody writes them: a start that misses one would believe none of its pool.
      this.#run.transaction(() => {
        for (const { number } of journals) removeJournal.run(number);
      });
      throw error;
    }
    for (const id of ids.values()) this.#pools.add(id);
  }

  remove(numbers: readonly number[] | 'all'): void {
    const { removeJournal, removeJournals } = this.#statements;
    this.#run.effect(() => {
      if (numbers === 'all') return void removeJournals.run();
      for (const number of numbers) removeJournal.run(number);
    });
  }

  /** Another epoch has begun, which has none. */
  forget(): void {
    this.#pools.clear();
  }
}
