/** What an admin may do with one pool: pause, resume, and give it another target. */
import type { PoolView } from '../client/replies.ts';
import { type Actor, Outcome } from './actor.ts';
import { button, element, setText } from './element.ts';

export class PoolActions {
  readonly buttons = element('div', { class: 'buttons', hidden: '' });
  /** Below the title: the form of the target, and what became of an action. */
  readonly panel = element('div', { class: 'panel', hidden: '' });
  readonly #name: string;
  readonly #onChange: (pool: PoolView) => void;
  readonly #pause = button('Pause', () => this.#togglePause());
  readonly #change = button('Target', () => this.#open());
  readonly #form = element('form', { hidden: '' });
  readonly #target: HTMLInputElement;
  readonly #outcome = new Outcome();
  #actor: Actor | undefined;
  #isPaused = false;
  #now = 0;

  constructor(name: string, onChange: (pool: PoolView) => void) {
    this.#name = name;
    this.#onChange = onChange;
    const id = `target-${name}`;
    this.#target = element('input', { id, type: 'number', min: 0, step: 1, required: '' });
    this.#pause.setAttribute('aria-describedby', `pool-${name}`);
    this.#change.setAttribute('aria-describedby', `pool-${name}`);
    this.#change.setAttribute('aria-expanded', 'false');
    this.buttons.append(this.#pause, this.#change);
    const label = element('label', { for: id }, `Target of ${name}`);
    this.#form.append(label, this.#target, element('button', { type: 'submit' }, 'Set'));
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#setTarget(this.#target.valueAsNumber);
    });
    this.panel.append(this.#form, this.#outcome.line);
  }

  setActor(actor: Actor | undefined): void {
    this.#actor = actor;
    this.buttons.hidden = actor === undefined;
    this.panel.hidden = actor === undefined;
    if (actor === undefined) this.#outcome.say('');
  }

  show({ paused, target }: PoolView): void {
    this.#isPaused = paused;
    this.#now = target;
    setText(this.#pause, paused ? 'Resume' : 'Pause');
  }

  #togglePause(): void {
    const admin = this.#actor?.client.admin;
    if (admin === undefined) return;
    void this.#outcome.run(async () => {
      const wasPaused = this.#isPaused;
      this.#onChange(
        await (wasPaused ? admin.resumePool(this.#name) : admin.pausePool(this.#name)),
      );
      return wasPaused ? 'It hands out again.' : 'It hands nothing out now.';
    });
  }

  #open(): void {
    this.#form.hidden = !this.#form.hidden;
    this.#change.setAttribute('aria-expanded', String(!this.#form.hidden));
    if (this.#form.hidden) return;
    this.#target.value = String(this.#now);
    this.#target.focus();
  }

  #setTarget(target: number): void {
    const admin = this.#actor?.client.admin;
    if (admin === undefined) return;
    void this.#outcome.run(async () => {
      this.#onChange(await admin.changePool(this.#name, { target }));
      this.#open();
      this.#change.focus();
      return `Its target is ${target} now.`;
    });
  }
}
