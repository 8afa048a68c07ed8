/** What the page shows of one pool. Made once; afterwards only its texts and charts change. */
import type { PoolView } from '../client/replies.ts';
import { type Actor, mayManage } from './actor.ts';
import { Chart, type ChartData } from './chart.ts';
import { element, setText } from './element.ts';
import {
  etaText,
  exact,
  lasting,
  type Outlook,
  type PoolHistory,
  perHour,
  ratesOf,
  rounded,
  SPANS,
  stockText,
} from './figures.ts';
import { PoolActions } from './pool-actions.ts';

/** By the names of the fields in the API, where they are such; in groups. */
const GROUPS = [
  { stock: 'Stock', target: 'Target', etaSeconds: 'Full in', hoursOfStock: 'Hours of stock' },
  { ready: 'Ready', available: 'Available', leased: 'Leased', reserved: 'Reserved' },
  {
    dispensed: 'Dispensed',
    burned: 'Burned',
    ground: 'Found',
    consumptionPerHour: 'Taken/h',
  },
  {
    attemptsPerSecond: 'Attempts/s',
    hitsPerSecond: 'Expected hits/s',
    difficulty: 'Attempts a hit',
    odds: 'Odds',
  },
] as const;
type Figure = { [I in keyof typeof GROUPS]: keyof (typeof GROUPS)[I] }[number];

const TOTALS = [
  ['dispensed', 'Dispensed/h'],
  ['ground', 'Found/h'],
] as const;
export type ChartSpan = 'hour' | 'day';
/** Samples of the last hour are 15 s apart: a rate of less than a minute would be all peaks. */
const RATE_OVER = { hour: 4, day: 1 } as const;
const UNKNOWN = 'n/a';

export class PoolCard {
  readonly article: HTMLElement;
  readonly #state = element('span', { class: 'state' });
  readonly #lasts = element('strong', { class: 'lasts' });
  readonly #outlook = element('p', { class: 'outlook' });
  readonly #level: HTMLMeterElement;
  readonly #share = element('span', { class: 'share' });
  readonly #figures = new Map<Figure, HTMLElement>();
  readonly #rates = new Map<string, HTMLElement>();
  readonly #stock = new Chart('Stock', ['Stock', 'Ready']);
  readonly #flow = new Chart('Addresses an hour', ['Dispensed', 'Found']);
  readonly #actions: PoolActions;
  #isInView = false;
  #span: ChartSpan = 'hour';
  #history: PoolHistory | undefined;
  #askedAt = 0;
  #pool: PoolView;

  constructor(pool: PoolView, onChange: (pool: PoolView) => void) {
    const { name, pattern } = pool;
    this.#pool = pool;
    const id = `pool-${name}`;
    this.#level = element('meter', { min: 0, 'aria-label': `Stock of ${name} against its target` });
    this.#actions = new PoolActions(name, onChange);
    const title = element('h3', { id }, name);
    const head = element(
      'div',
      { class: 'head' },
      title,
      element('code', {}, pattern),
      this.#state,
    );
    head.append(this.#actions.buttons);
    const words = element('div', { class: 'words' }, this.#outlook, this.#level, this.#share);
    const lasts = element('div', { class: 'lasting' }, this.#lasts, 'of stock');
    const summary = element('div', { class: 'summary' }, lasts, words);
    this.article = element(
      'article',
      { 'aria-labelledby': id, 'data-pool': name },
      head,
      this.#actions.panel,
      summary,
      this.#figureLists(),
      element('div', { class: 'flow' }, this.#rateTable(), this.#stock.figure, this.#flow.figure),
    );
    const observer = new IntersectionObserver((entries) => {
      this.#isInView = entries.at(-1)!.isIntersecting;
      this.#draw();
    });
    observer.observe(this.article);
  }

  show(pool: PoolView, outlook: Outlook): void {
    this.#pool = pool;
    const { paused, stock, target, grinding, difficulty, hoursOfStock } = pool;
    const state = stateOf(pool);
    setText(this.#state, state);
    this.article.dataset.state = state;
    setText(this.#lasts, lasting(hoursOfStock));
    setText(this.#outlook, outlook.text);
    this.article.classList.toggle('runs-out', !paused && Number.isFinite(outlook.seconds));
    this.#level.max = Math.max(target, 1);
    this.#level.value = stock;
    setText(this.#share, `${exact(stock)} of ${exact(target)}`);
    const texts: Record<Figure, string> = {
      hoursOfStock: stockText(hoursOfStock),
      consumptionPerHour: exact(pool.consumptionPerHour),
      stock: exact(stock),
      target: exact(target),
      etaSeconds: etaText(grinding.etaSeconds),
      ready: exact(pool.ready),
      available: exact(pool.available),
      leased: exact(pool.leased),
      reserved: exact(pool.reserved),
      dispensed: exact(pool.dispensed),
      burned: exact(pool.burned),
      ground: exact(pool.ground),
      attemptsPerSecond: exact(grinding.attemptsPerSecond),
      hitsPerSecond: exact(grinding.hitsPerSecond),
      difficulty: exact(difficulty),
      odds: `1 in ${exact(difficulty)}`,
    };
    for (const [figure, where] of this.#figures) setText(where, texts[figure]);
    for (const [total] of TOTALS) {
      for (const { name, seconds } of SPANS) {
        const { sinceS } = this;
        const rate = this.#history && perHour(this.#history, total, pool[total], seconds, sinceS);
        const text = rate === undefined ? UNKNOWN : rounded(rate);
        setText(this.#rates.get(`${total} ${name}`)!, text);
      }
    }
    this.#actions.show(pool);
    this.#draw();
  }

  get hasHistory(): boolean {
    return this.#history !== undefined;
  }

  setHistory(history: PoolHistory): void {
    this.#history = history;
    this.#askedAt = performance.now();
    this.#draw();
  }

  setSpan(span: ChartSpan): void {
    this.#span = span;
    this.#draw();
  }

  setActor(actor: Actor | undefined): void {
    this.#actions.setActor(mayManage(actor) ? actor : undefined);
  }

  /** How long ago the history was asked for. */
  get sinceS(): number {
    return (performance.now() - this.#askedAt) / 1000;
  }

  /** Only what is looked at is drawn. */
  #draw(): void {
    if (!this.#isInView || this.#history === undefined || document.hidden) return;
    const span = this.#span;
    const { times, secondsAgo, stock, ready, dispensed, ground } = this.#withNow(span);
    this.#stock.show(`last ${span}`, { times, values: [stock, ready] });
    const rates = [dispensed, ground].map((totals) => ratesOf(secondsAgo, totals, RATE_OVER[span]));
    this.#flow.show(`last ${span}`, { times, values: rates });
  }

  /** The samples, and what is now as the last of them. */
  #withNow(span: ChartSpan) {
    const samples = this.#history![span];
    const { sinceS } = this;
    const secondsAgo = [...samples.secondsAgo.map((ago) => ago + sinceS), 0];
    const now = Date.now() / 1000;
    const { stock, ready, dispensed, ground } = this.#pool;
    return {
      secondsAgo,
      times: secondsAgo.map((ago) => now - ago) as ChartData['times'],
      stock: [...samples.stock, stock],
      ready: [...samples.ready, ready],
      dispensed: [...samples.dispensed, dispensed],
      ground: [...samples.ground, ground],
    };
  }

  #figureLists(): HTMLElement {
    const lists = GROUPS.map((group) => {
      const list = element('dl', { class: 'figures' });
      for (const [figure, name] of Object.entries(group) as [Figure, string][]) {
        const value = element('dd', { 'data-figure': figure });
        this.#figures.set(figure, value);
        list.append(element('div', {}, element('dt', {}, name), value));
      }
      return list;
    });
    return element('div', { class: 'groups' }, ...lists);
  }

  #rateTable(): HTMLElement {
    const spans = SPANS.map(({ name }) => element('th', { scope: 'col' }, name));
    const caption = element('caption', {}, 'Rates of the last');
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
    return element('table', { class: 'rates' }, caption, element('thead', {}, head), body);
  }
}

/** In one word. */
function stateOf({ paused, stock, target, grinding }: PoolView): string {
  if (paused) return 'paused';
  if (stock === 0) return 'empty';
  if (grinding.active) return 'filling';
  return stock >= target ? 'full' : 'waiting';
}
