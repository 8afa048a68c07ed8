/** The form that makes a pool: what it would be is computed while somebody types, before anything is made. */
import type { PoolView } from '../client/replies.ts';
import { type Actor, Outcome } from './actor.ts';
import { byId, element } from './element.ts';
import { estimate } from './estimate.ts';

export class NewPool {
  readonly #form = byId<HTMLFormElement>('new-pool');
  readonly #section = byId('new-pool-section');
  readonly #estimate = byId('estimate');
  readonly #submit = byId<HTMLButtonElement>('make-pool');
  readonly #outcome = new Outcome();
  #actor: Actor | undefined;
  #attemptsPerSecond: number | null = null;

  constructor(onMade: (pool: PoolView) => void) {
    this.#form.append(this.#outcome.line);
    this.#form.addEventListener('input', () => this.#compute());
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      const admin = this.#actor?.client.admin;
      if (admin === undefined) return;
      const { name, target, source } = this.#typed;
      void this.#outcome.run(async () => {
        const { prefix, suffix, ignoreCase } = source;
        const rest = { name, target, ignoreCase };
        const sides = suffix === '' ? { prefix } : { suffix, ...(prefix !== '' && { prefix }) };
        onMade(await admin.createPool({ ...rest, ...sides }));
        this.#form.reset();
        this.#compute();
        return `The pool ${name} is made.`;
      });
    });
    this.#compute();
  }

  setActor(actor: Actor | undefined): void {
    this.#actor = actor;
    this.#section.hidden = actor === undefined;
    if (actor !== undefined) return;
    this.#form.reset();
    this.#outcome.say('');
    this.#compute();
  }

  /** Of all grinder threads at work; null where nobody knows. */
  setRate(attemptsPerSecond: number | null): void {
    if (attemptsPerSecond === this.#attemptsPerSecond) return;
    this.#attemptsPerSecond = attemptsPerSecond;
    this.#compute();
  }

  get #typed() {
    const data = new FormData(this.#form);
    const text = (name: string) => String(data.get(name) ?? '').trim();
    const [prefix, suffix] = [text('prefix'), text('suffix')];
    const source = { prefix, suffix, ignoreCase: data.has('ignoreCase') };
    return { name: text('name'), target: Number(text('target')), source };
  }

  #compute(): void {
    const { source, target } = this.#typed;
    const { isPossible, lines } = estimate(source, target, this.#attemptsPerSecond);
    this.#submit.disabled = !isPossible;
    this.#estimate.classList.toggle('bad', !isPossible);
    this.#estimate.replaceChildren(...lines.map((line) => element('p', {}, line)));
  }
}
