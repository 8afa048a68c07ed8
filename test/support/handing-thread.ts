/**
 * An HTTP thread to the store thread, for tests: a port of which the test says when it acts on a
 * notice, and pops as an HTTP thread does, with a journal of its own.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { PoolNotice, ServedPool } from '../../src/pool/calls.ts';
import { JournalWriter } from '../../src/pool/journal-parts.ts';
import { Pool } from '../../src/pool/pool.ts';
import type { ServedEntries } from '../../src/store-thread/served-entries.ts';
import { ThreadNotices } from '../../src/store-thread/thread-notices.ts';

/** An HTTP thread: what it was sent, and the pools that it hands out of. */
export class Thread {
  readonly notices: PoolNotice[] = [];
  readonly pools = new Map<string, Pool>();
  readonly journals = new Map<string, JournalWriter>();
  readonly given: readonly ServedPool[];
  /** Answers by itself. */
  isPrompt = true;
  readonly #port: MessagePort;
  readonly #heard: (notice: number) => void;

  static async connect(entries: ServedEntries): Promise<Thread> {
    const { port1, port2 } = new MessageChannel();
    const notices = new ThreadNotices(port1);
    const given = await entries.connect(port1, notices);
    return new Thread(port2, (notice) => notices.heard(notice), given);
  }

  constructor(port: MessagePort, heard: (notice: number) => void, given: readonly ServedPool[]) {
    this.#port = port;
    this.#heard = heard;
    this.given = given;
    for (const pool of given) this.#add(pool);
    port.on('message', ({ arg }: { arg: PoolNotice }) => {
      this.notices.push(arg);
      if (this.isPrompt) this.act();
    });
  }

  /** On all that it was sent by now. */
  act(): void {
    for (const { notice, added, removed } of this.notices.splice(0)) {
      if (added !== undefined) this.#add(added);
      if (removed !== undefined) this.pools.delete(removed);
      this.#heard(notice);
    }
  }

  async told(): Promise<void> {
    while (this.notices.length === 0) await nextTurn();
  }

  die(): void {
    this.#port.close();
  }

  #add({ shared, journal }: ServedPool): void {
    const writer = journal && new JournalWriter(journal);
    this.journals.get(shared.name)?.close();
    if (writer !== undefined) this.journals.set(shared.name, writer);
    this.pools.set(
      shared.name,
      new Pool(shared, {
        refill: () => Promise.resolve(),
        prepare: () => writer?.prepare(),
        record: (_, handOut) => writer?.write(handOut),
      }),
    );
  }
}
