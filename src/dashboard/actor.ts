/**
 * What a token may do here, and how it is done: one thing at a time in each place, and what the server answers beside
 * it. The page shows no button to who may not; the server refuses him all the same.
 */
import { type VanitypoolClient, VanitypoolError } from '../client/client.ts';
import type { AccessView } from '../client/replies.ts';
import { element, setText } from './element.ts';

export interface Actor {
  readonly client: VanitypoolClient;
  readonly access: AccessView;
}

/** Pause, resume and change the pools that exist for it. */
export function mayManage(actor: Actor | undefined): actor is Actor {
  return actor?.access.token?.scopes.includes('admin') === true;
}

/** Also what is not of one pool: tokens, warnings, who took how many. */
export function mayManageAll(actor: Actor | undefined): actor is Actor {
  return mayManage(actor) && actor.access.token?.pools === null;
}

/** Where an action says what became of it. */
export class Outcome {
  readonly line = element('p', { class: 'outcome', role: 'status' });
  #isRunning = false;

  /** Nothing while another runs here. */
  async run(work: () => Promise<string>): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.say('');
    try {
      this.say(await work());
    } catch (error) {
      this.say(wordsOf(error), true);
    } finally {
      this.#isRunning = false;
    }
  }

  say(text: string, isBad = false): void {
    this.line.classList.toggle('bad', isBad);
    setText(this.line, text);
  }
}

export function wordsOf(error: unknown): string {
  if (error instanceof VanitypoolError) return `Refused: ${error.detail}`;
  return `It failed: ${error instanceof Error ? error.message : 'nobody knows why'}`;
}
