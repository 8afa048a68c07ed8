/** A chart of some lines over time, and the same as a table behind it. */
import { drawing, element } from './element.ts';
import { duration, exact, rounded } from './figures.ts';

export interface Line {
  readonly name: string;
  readonly values: readonly number[];
}

export interface ChartOf {
  readonly title: string;
  /** Of each value of each line, falling. */
  readonly secondsAgo: readonly number[];
  readonly span: 'hour' | 'day';
  readonly lines: readonly Line[];
}

const SECONDS = { hour: 3600, day: 86_400 } as const;
const WIDTH = 600;
const HEIGHT = 120;
const TOP = 8;
/** A table of a day would be 289 rows, read one by one. */
const ROWS_MAX = 60;

export function chart(what: ChartOf): HTMLElement {
  const { title, span, lines } = what;
  const highest = Math.max(0, ...lines.flatMap(({ values }) => values));
  const caption = element('figcaption', {}, `${title}, last ${span}`);
  const legend = element('ul', { class: 'legend' });
  for (const [index, { name }] of lines.entries()) {
    legend.append(element('li', { class: `line-${index + 1}` }, name));
  }
  const scale = element('p', { class: 'scale' }, `0 to ${rounded(highest)}`);
  return element('figure', {}, caption, legend, picture(what, highest), scale, table(what));
}

function picture({ title, secondsAgo, span, lines }: ChartOf, highest: number): SVGElement {
  const box = `0 0 ${WIDTH} ${HEIGHT}`;
  const label = `${title}: the table below has the figures`;
  const svg = drawing('svg', {
    viewBox: box,
    preserveAspectRatio: 'none',
    role: 'img',
    'aria-label': label,
  });
  svg.append(drawing('line', { class: 'axis', x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }));
  for (const [index, { values }] of lines.entries()) {
    const points = values.map((value, at) => {
      const x = WIDTH * (1 - secondsAgo[at]! / SECONDS[span]);
      const y = HEIGHT - (HEIGHT - TOP) * (highest === 0 ? 0 : value / highest);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    });
    svg.append(drawing('polyline', { class: `line-${index + 1}`, points: points.join(' ') }));
  }
  return svg;
}

function table({ title, secondsAgo, lines }: ChartOf): HTMLElement {
  const every = Math.max(1, Math.ceil(secondsAgo.length / ROWS_MAX));
  const head = ['Ago', ...lines.map(({ name }) => name)];
  const cells = head.map((name) => element('th', { scope: 'col' }, name));
  const body = element('tbody');
  for (let at = secondsAgo.length - 1; at >= 0; at -= every) {
    const ago = element('th', { scope: 'row' }, duration(secondsAgo[at]!));
    const values = lines.map(({ values }) => element('td', {}, exact(Math.round(values[at]!))));
    body.append(element('tr', {}, ago, ...values));
  }
  const rows = element('table', {}, element('thead', {}, element('tr', {}, ...cells)), body);
  const region = {
    class: 'scroll',
    tabindex: 0,
    role: 'region',
    'aria-label': `${title}, as a table`,
  };
  return element('details', {}, element('summary', {}, 'As a table'), element('div', region, rows));
}
