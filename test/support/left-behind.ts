/**
 * All that a server left behind that was killed, to which a test goes back after each thing that it does to
 * it: the files with their inodes, the witness, the journals, and what had left by then.
 */
import { join } from 'node:path';
import { type Copy, copyOf, journalsOf, revert } from './copies.ts';
import type { Handed, Workspace } from './server.ts';

export class LeftBehind {
  readonly data: Copy;
  readonly #workspace: Workspace;
  readonly #memory: string;
  readonly #state: Copy;
  readonly #journals: Copy;
  readonly #handed: Handed[];
  readonly #left: number;

  /** `handed`: what had left it, which is cut to that again. */
  constructor(workspace: Workspace, handed: Handed[]) {
    const { data, state } = workspace;
    this.#workspace = workspace;
    this.#memory = journalsOf(data)[0] ?? join(data, 'journal');
    this.data = copyOf(data);
    this.#state = copyOf(state);
    this.#journals = copyOf(this.#memory);
    this.#handed = handed;
    this.#left = handed.length;
  }

  /** What is taken away goes there, to come back. */
  get aside(): string {
    return join(this.#workspace.path, 'aside');
  }

  putBackJournals(copy: Copy): void {
    revert(this.#memory, copy);
  }

  revert(): void {
    const { data, state } = this.#workspace;
    revert(data, this.data, this.aside);
    revert(state, this.#state);
    revert(this.#memory, this.#journals);
    this.#handed.length = this.#left;
  }
}
