/** What the page shows of one pool. Made once; afterwards only its texts change. */
import type { PoolView } from '../client/replies.ts';
import { chart } from './chart.ts';
import { element, setText } from './element.ts';
import {
  duration,
  exact,
  outlook,
  type PoolHistory,
  perHour,
  ratesOf,
  rounded,
  SPANS,
} from './figures.ts';

/** By the names of the fields in the API, where they are such. */
const FIGURES = {
  hoursOfStock: 'Hours of stock',
  consumptionPerHour: 'Taken an hour',
  stock: 'Stock',
  target: 'Target',
  etaSeconds: 'Full in',
  ready: 'Ready',
  available: 'Available',
  leased: 'Leased',
  reserved: 'Reserved',
  dispensed: 'Dispensed',
  burned: 'Burned',
  attemptsPerSecond: 'Attempts a second',
  hitsPerSecond: 'Expected hits a second',
  difficulty: 'Expected attempts a hit',
  odds: 'Odds of an attempt',
} as const;
type Figure = keyof typeof FIGURES;

const TOTALS = [
  ['dispensed', 'Dispensed an hour'],
  ['ground', 'Found an hour'],
] as const;
const UNKNOWN = 'not known yet';

export class PoolCard {
  readonly article: HTMLElement;
  readonly #paused = element('span', { class: 'paused', hidden: '' }, 'paused');
  readonly #outlook = element('p', { class: 'outlook' });
  readonly #level: HTMLMeterElement;
  readonly #figures = new Map<Figure, HTMLElement>();
  readonly #rates = new Map<string, HTMLElement>();
  readonly #charts = element('details', { class: 'charts' });
  readonly #drawn = element('div');
  #history: PoolHistory | undefined;
  #askedAt = 0;

  constructor({ name, pattern }: PoolView) {
    const id = `pool-${name}`;
    this.#level = element('meter', { min: 0, 'aria-label': `Stock of ${name} against its target` });
    const title = element('h3', { id }, name, ' ', element('code', {}, pattern), ' ', this.#paused);
    this.#charts.append(element('summary', {}, 'Last hour and day'), this.#drawn);
    this.#charts.addEventListener('toggle', () => this.#draw());
    this.article = element(
      'article',
      { 'aria-labelledby': id, 'data-pool': name },
      title,
      this.#outlook,
      this.#level,
      this.#figureList(),
      this.#rateTable(),
      this.#charts,
    );
  }

  show(pool: PoolView): void {
    const { paused, stock, target, grinding, difficulty, hoursOfStock } = pool;
    this.#paused.hidden = !paused;
    this.article.classList.toggle('is-paused', paused);
    setText(this.#outlook, outlook(pool));
    this.#level.max = Math.max(target, 1);
    this.#level.value = stock;
    const { etaSeconds } = grinding;
    const texts: Record<Figure, string> = {
      hoursOfStock: hoursOfStock === null ? 'nobody takes any' : exact(hoursOfStock),
      consumptionPerHour: exact(pool.consumptionPerHour),
      stock: exact(stock),
      target: exact(target),
      etaSeconds: etaText(etaSeconds),
      ready: exact(pool.ready),
      available: exact(pool.available),
      leased: exact(pool.leased),
      reserved: exact(pool.reserved),
      dispensed: exact(pool.dispensed),
      burned: exact(pool.burned),
      attemptsPerSecond: exact(grinding.attemptsPerSecond),
      hitsPerSecond: exact(grinding.hitsPerSecond),
      difficulty: exact(difficulty),
      odds: `1 in ${exact(difficulty)}`,
    };
    for (const [figure, where] of this.#figures) setText(where, texts[figure]);
    for (const [total] of TOTALS) {
      for (const { name, seconds } of SPANS) {
        const sinceS = (performance.now() - this.#askedAt) / 1000;
        const rate = this.#history && perHour(this.#history, total, pool[total], seconds, sinceS);
        const text = rate === undefined ? UNKNOWN : rounded(rate);
        setText(this.#rates.get(`${total} ${name}`)!, text);
      }
    }
  }

  setHistory(history: PoolHistory): void {
    this.#history = history;
    this.#askedAt = performance.now();
    this.#draw();
  }

  /** Only what is looked at is drawn. */
  #draw(): void {
    if (!this.#charts.open || this.#history === undefined) return;
    const charts = (['hour', 'day'] as const).flatMap((span) => {
      const samples = this.#history![span];
      const { secondsAgo, stock, ready } = samples;
      const lines = [
        { name: 'Stock', values: stock },
        { name: 'Ready', values: ready },
      ];
      const rates = TOTALS.map(([total, name]) => ({ name, values: ratesOf(samples, total) }));
      return [
        chart({ title: 'Stock', secondsAgo, span, lines }),
        chart({ title: 'Rates', secondsAgo: secondsAgo.slice(1), span, lines: rates }),
      ];
    });
    // What is open stays open.
    const were = [...this.#drawn.querySelectorAll('details')].map(({ open }) => open);
    this.#drawn.replaceChildren(...charts);
    for (const [index, details] of this.#drawn.querySelectorAll('details').entries()) {
      details.open = were[index] ?? false;
    }
  }

  #figureList(): HTMLElement {
    const list = element('dl', { class: 'figures' });
    for (const [figure, name] of Object.entries(FIGURES) as [Figure, string][]) {
      const value = element('dd', { 'data-figure': figure });
      this.#figures.set(figure, value);
      list.append(element('div', {}, element('dt', {}, name), value));
    }
    return list;
  }

  #rateTable(): HTMLElement {
    const spans = SPANS.map(({ name }) => element('th', { scope: 'col' }, `Last ${name}`));
    const head = element('tr', {}, element('td'), ...spans);
    const body = element('tbody');
    for (const [total, title] of TOTALS) {
      const cells = SPANS.map(({ name }) => {
        const cell = element('td', { 'data-rate': `${total} ${name}` }, UNKNOWN);
        this.#rates.set(`${total} ${name}`, cell);
        return cell;
      });
      body.append(element('tr', {}, element('th', { scope: 'row' }, title), ...cells));
    }
    return element('table', { class: 'rates' }, element('thead', {}, head), body);
  }
}

function etaText(etaSeconds: number | null): string {
  if (etaSeconds === null) return 'nothing is ground';
  return etaSeconds === 0 ? 'full' : duration(etaSeconds);
}
