/** The test's side of looking-process.ts: a process that looks at a store when asked. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const PROCESS = new URL('./looking-process.ts', import.meta.url).pathname;

export class Looker implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(directory: string, environment: Readonly<Record<string, string>>) {
    this.#process = spawn(process.execPath, [PROCESS, directory], {
      env: { ...process.env, ...environment },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]();
  }

  /** `ok`, or the error's code and message. */
  async look(name: string): Promise<string> {
    this.#process.stdin!.write(`${name}\n`);
    return String((await this.#lines.next()).value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin!.end();
    assert.deepEqual(await once(this.#process, 'exit'), [0, null]);
  }
}
