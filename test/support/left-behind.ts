/**
 * All that a server left behind that was killed, to which a test goes back after each thing that it does to
 * it: the files with their inodes, the witness, the journals, and what had left by then.
 */

import { join } from 'node:path';
import { type Copy, copyOf, journalsOf, revert } from './copies.ts';
import type { Tampering } from './tampering.ts';

export class LeftBehind {
  readonly data: Copy;
  readonly #tampering: Tampering;
  readonly #state: Copy;
  readonly #memory: string;
  readonly #journals: Copy;
  readonly #handed: number;

  constructor(tampering: Tampering) {
    const { data, workspace, handed } = tampering;
    this.#tampering = tampering;
    this.#memory = journalsOf(data)[0] ?? join(data, 'journal');
    this.data = copyOf(data);
    this.#state = copyOf(workspace.state);
    this.#journals = copyOf(this.#memory);
    this.#handed = handed.length;
  }

  /** What is taken away goes there, to come back. */
  get aside(): string {
    return this.#tampering.path('aside');
  }

  putBackJournals(copy: Copy): void {
    revert(this.#memory, copy);
  }

  revert(): void {
    const { data, workspace, handed } = this.#tampering;
    revert(data, this.data, this.aside);
    revert(workspace.state, this.#state);
    revert(this.#memory, this.#journals);
    handed.length = this.#handed;
  }
}
