/**
 * A chart of some lines over time, drawn by uPlot, and the same as a table behind it. Made once; `show` gives it
 * other figures. A chart whose box has no width yet is drawn when it gets one.
 */
import uPlot from 'uplot';
import { element, setText } from './element.ts';
import { exact, rounded, short } from './figures.ts';

export interface ChartData {
  /** Seconds since 1970 of each value, growing. */
  readonly times: readonly number[];
  /** Of each line, as many as there are times; null for none. */
  readonly values: readonly (readonly (number | null)[])[];
}

const HEIGHT = 120;
/** What a young server has would fill the width with seconds. */
const SPAN_MIN_S = 300;
const AXIS_Y = 44;
const AXIS_X = 24;
const TICK_APART = 28;
/** A table of a day would be 289 rows, read one by one. */
const ROWS_MAX = 60;
const FONT = '11px system-ui, sans-serif';
const DASHES = [[], [5, 3]] as const;
const NOTHING: ChartData = { times: [], values: [] };

export class Chart {
  readonly figure: HTMLElement;
  readonly #lines: readonly string[];
  readonly #box = element('div', { class: 'plot', role: 'img' });
  readonly #values: readonly HTMLElement[];
  readonly #table = element('details');
  readonly #rows = element('tbody');
  readonly #what: string;
  #title = '';
  readonly #caption = element('figcaption');
  readonly #tableCaption = element('caption', { class: 'unseen' });
  readonly #region = element('div', { class: 'scroll', tabindex: 0, role: 'region' });
  #plot: uPlot | undefined;
  #data = NOTHING;

  constructor(what: string, lines: readonly string[]) {
    this.#what = what;
    this.#lines = lines;
    this.#values = lines.map(() => element('output', {}));
    const legend = element('ul', { class: 'legend' });
    for (const [index, name] of lines.entries()) {
      legend.append(
        element('li', { class: `line-${index + 1}` }, `${name} `, this.#values[index]!),
      );
    }
    this.#makeTable();
    this.#name(what);
    this.figure = element('figure', {}, this.#caption, legend, this.#box, this.#table);
    this.#table.addEventListener('toggle', () => this.#list());
    new ResizeObserver(() => this.#fit()).observe(this.#box);
    // Colours of a canvas do not follow by themselves.
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#plot?.destroy();
      this.#plot = undefined;
      this.#fit();
    });
  }

  show(span: string, data: ChartData): void {
    const title = `${this.#what}, ${span}`;
    const isOther = title !== this.#title || data.times.at(-2) !== this.#data.times.at(-2);
    if (title !== this.#title) this.#name(title);
    this.#data = data;
    this.#plot?.setData(aligned(data));
    this.#tell(undefined);
    this.#fit();
    // The last row of a live chart changes each second: nobody could read that.
    if (isOther) this.#list();
  }

  #name(title: string): void {
    this.#title = title;
    for (const where of [this.#caption, this.#tableCaption]) setText(where, title);
    this.#box.ariaLabel = `Chart: ${title}. The table below has its figures.`;
    this.#region.ariaLabel = title;
  }

  /** The values at a place of the pointer, or the last ones. */
  #tell(at: number | null | undefined): void {
    for (const [index, where] of this.#values.entries()) {
      const values = this.#data.values[index] ?? [];
      const value = at == null ? values.at(-1) : values[at];
      setText(where, value == null ? '' : rounded(value));
    }
  }

  #fit(): void {
    const width = Math.floor(this.#box.clientWidth);
    if (width === 0 || this.#data.times.length === 0) return;
    if (this.#plot === undefined) this.#plot = this.#draw(width);
    else if (this.#plot.width !== width) this.#plot.setSize({ width, height: HEIGHT });
  }

  #draw(width: number): uPlot {
    // A canvas takes colours, and no variables of the style.
    const { color: quiet, borderTopColor: edge } = getComputedStyle(this.#box);
    const colours = this.#values.map((value) => getComputedStyle(value).color);
    const axis = { stroke: quiet, font: FONT, ticks: { show: false } };
    const options: uPlot.Options = {
      width,
      height: HEIGHT,
      padding: [6, 6, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: { range: (_, first, last) => [Math.min(first, last - SPAN_MIN_S), last] },
        y: { range: (_, __, highest) => [0, Math.max(1, highest * 1.05)] },
      },
      axes: [
        { ...axis, size: AXIS_X, grid: { show: false }, values: (_, ticks) => ticks.map(minute) },
        {
          ...axis,
          size: AXIS_Y,
          space: TICK_APART,
          grid: { stroke: edge, width: 1 },
          values: (_, ticks) => ticks.map(short),
        },
      ],
      series: [
        {},
        ...this.#lines.map((label, index) => ({
          label,
          stroke: colours[index]!,
          width: 1.5,
          dash: [...DASHES[index % DASHES.length]!],
          points: { show: false },
        })),
      ],
      hooks: { setCursor: [({ cursor }) => this.#tell(cursor.idx)] },
    };
    return new uPlot(options, aligned(this.#data), this.#box);
  }

  #makeTable(): void {
    const head = ['Time', ...this.#lines].map((name) => element('th', { scope: 'col' }, name));
    const table = element(
      'table',
      {},
      this.#tableCaption,
      element('thead', {}, element('tr', {}, ...head)),
      this.#rows,
    );
    this.#region.append(table);
    this.#table.append(element('summary', {}, 'As a table'), this.#region);
  }

  /** The newest first; only while somebody looks. */
  #list(): void {
    if (!this.#table.open) return;
    const { times, values } = this.#data;
    const every = Math.max(1, Math.ceil(times.length / ROWS_MAX));
    const rows: HTMLElement[] = [];
    for (let at = times.length - 1; at >= 0; at -= every) {
      const time = new Date(times[at]! * 1000).toLocaleTimeString();
      const cells = values.map((line) => {
        const value = line[at];
        return element('td', {}, value == null ? '' : exact(Math.round(value)));
      });
      rows.push(element('tr', {}, element('th', { scope: 'row' }, time), ...cells));
    }
    this.#rows.replaceChildren(...rows);
  }
}

function minute(time: number): string {
  return new Date(time * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}

function aligned({ times, values }: ChartData): uPlot.AlignedData {
  return [times, ...values] as unknown as uPlot.AlignedData;
}
