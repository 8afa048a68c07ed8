/** The form that makes a pool: what it would be is computed while somebody types, before anything is made. */
import type { PoolView } from '../client/replies.ts';
import { type Actor, Outcome } from './actor.ts';
import { byId, element } from './element.ts';
import { estimate } from './estimate.ts';
import { type FullRates, UNKNOWN_RATES } from './figures.ts';

export class NewPool {
  readonly #form = byId<HTMLFormElement>('new-pool');
  readonly #section = byId('new-pool-section');
  readonly #estimate = byId('estimate');
  readonly #submit = byId<HTMLButtonElement>('make-pool');
  readonly #outcome = new Outcome();
  #actor: Actor | undefined;
  #rates: FullRates = UNKNOWN_RATES;

  constructor(onMade: (pool: PoolView) => void) {
    this.#form.append(this.#outcome.line);
    this.#form.addEventListener('input', () => this.#compute());
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      const admin = this.#actor?.client.admin;
      if (admin === undefined) return;
      const { name, target, source, keys, handout } = this.#typed;
      void this.#outcome.run(async () => {
        const { prefix, suffix, ignoreCase } = source;
        const rest = { name, target, ignoreCase, keys, handout };
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

  setRates(rates: FullRates): void {
    const { seed, expanded } = this.#rates;
    this.#rates = rates;
    if (rates.seed !== seed || rates.expanded !== expanded) this.#compute();
  }

  get #typed() {
    const data = new FormData(this.#form);
    const text = (name: string) => String(data.get(name) ?? '').trim();
    const [prefix, suffix] = [text('prefix'), text('suffix')];
    const source = { prefix, suffix, ignoreCase: data.has('ignoreCase') };
    const keys = text('keys') as PoolView['keys'];
    const handout = text('handout') as PoolView['handout'];
    return { name: text('name'), target: Number(text('target')), source, keys, handout };
  }

  #compute(): void {
    const { source, target, keys } = this.#typed;
    const { isPossible, lines } = estimate(source, target, this.#rates[keys]);
    this.#submit.disabled = !isPossible;
    this.#estimate.classList.toggle('bad', !isPossible);
    this.#estimate.replaceChildren(...lines.map((line) => element('p', {}, line)));
  }
}
