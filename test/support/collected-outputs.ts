/** Where a command writes that runs in the process of its test: into texts, as if into files. */
import type { Outputs } from '../../src/cli/output.ts';

export class CollectedOutputs implements Outputs {
  stdout = '';
  /** What was said beside it, piece by piece. */
  readonly said: string[] = [];
  readonly isTerminal = false;
  readonly assertOutput: () => void;
  readonly stderr = { isTTY: false, columns: 0, write: (text: string) => this.said.push(text) };

  /** `assertOutput` says whether there is an output; there is one unless it throws. */
  constructor(assertOutput = () => {}) {
    this.assertOutput = assertOutput;
  }

  readonly print = async (text: string, signal?: AbortSignal): Promise<void> => {
    signal?.throwIfAborted();
    this.stdout += text;
  };

  readonly syncOutput = (): void => undefined;
}
