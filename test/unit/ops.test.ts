/**
 * The dashboard and the alert rules are checked against the program: they can be read, and name metrics,
 * labels and codes that there are, each metric by the suffix of its kind.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { ERRORS } from '../../src/errors.ts';
import { fillPool, testApp } from '../support/http-app.ts';

const read = (name: string) => readFileSync(new URL(`../../ops/${name}`, import.meta.url), 'utf8');

/** The reader of YAML that @fastify/swagger brings. */
const yaml = createRequire(import.meta.resolve('@fastify/swagger'))('yaml') as {
  parse(text: string): unknown;
};

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly targets?: readonly { readonly refId: string; readonly expr: string }[];
}

const ALERTS = yaml.parse(read('alerts.yml')) as { groups: { rules: Rule[] }[] };
const RULES = ALERTS.groups.flatMap(({ rules }) => rules);
const DASHBOARD = JSON.parse(read('grafana-dashboard.json')) as {
  panels: Panel[];
  templating: { list: { name: string; query: string | { query: string } }[] };
};
const QUERIES = DASHBOARD.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
const VARIABLES = DASHBOARD.templating.list.map(({ query }) =>
  typeof query === 'string' ? query : query.query,
);
const EXPRESSIONS = [...RULES.map(({ expr }) => expr), ...QUERIES, ...VARIABLES];

/** Names of series, with the labels that each has, of a server whose store fails and is that of many nodes. */
async function seriesOf(): Promise<Map<string, Set<string>>> {
  const { app, shared, storeHealth, deadline, nodes } = await testApp();
  deadline.set(1);
  nodes.write({ running: 1, lost: 1, missed: 0, stopped: 0 });
  fillPool(shared, 1);
  storeHealth.write('DISK_FULL', { turns: 0, inserts: 0 });
  const { body } = await app.inject({ url: '/metrics', headers: { host: 'localhost' } });
  const series = new Map<string, Set<string>>();
  for (const [, name, labels = ''] of body.matchAll(/^(vanitypool_\w+)(?:\{(.*)\})? /gm)) {
    const names = [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label!);
    // Prometheus adds those of the target.
    series.set(name!, new Set([...names, 'instance', 'job']));
  }
  return series;
}

/** Series of an expression, with the labels that it selects by. */
function named(expression: string): { name: string; labels: string[] }[] {
  return [...expression.matchAll(/(vanitypool_\w+)(?:\{([^}]*)\})?/g)].map(([, name, by = '']) => {
    return { name: name!, labels: [...by.matchAll(/(\w+)\s*=/g)].map(([, label]) => label!) };
  });
}

test('every series that is named is there, with its labels', async () => {
  const series = await seriesOf();
  let count = 0;
  for (const expression of EXPRESSIONS) {
    for (const { name, labels } of named(expression)) {
      const known = series.get(name);
      assert.ok(known !== undefined, `${name}: ${expression}`);
      for (const label of labels) assert.ok(known.has(label), `${name}{${label}}: ${expression}`);
      count++;
    }
  }
  assert.ok(count > 50, `only ${count} names were found`);
});

test('the dashboard shows every metric', async () => {
  const bare = (name: string) => name.replace(/_(bucket|sum|count)$/, '');
  const shown = new Set(QUERIES.flatMap(named).map(({ name }) => bare(name)));
  const missing = [...(await seriesOf()).keys()].filter((name) => !shown.has(bare(name)));
  assert.deepEqual(missing, []);
});

test('codes that are named are codes of errors', () => {
  const codes = EXPRESSIONS.flatMap((text) => [...text.matchAll(/code="([^"]*)"/g)]);
  assert.ok(codes.length >= 2);
  for (const [, code] of codes) assert.ok(Object.hasOwn(ERRORS, code!), code);
});

test('totals are looked at by their growth, buckets by their bounds', () => {
  for (const expression of [...RULES.map(({ expr }) => expr), ...QUERIES]) {
    for (const [total] of expression.matchAll(/\w+_(?:total|bucket|sum|count)\b/g)) {
      const grows = new RegExp(`(rate|increase)\\(${total}(\\{[^}]*\\})?\\[[\\w$]+\\]\\)`);
      assert.match(expression, grows);
    }
    if (expression.includes('_bucket')) {
      assert.match(expression, /histogram_quantile\([\d.]+, sum by \((instance, )?le\) \(/);
    }
    assert.equal(expression.split('(').length, expression.split(')').length, expression);
  }
});

test('every alert has a name of its own, says how bad it is, what happened and what to do', () => {
  assert.ok(RULES.length > 10);
  assert.equal(new Set(RULES.map(({ alert }) => alert)).size, RULES.length);
  for (const { alert, labels, annotations, for: wait, ...rest } of RULES) {
    assert.match(alert, /^Vanitypool[A-Z]\w+$/);
    assert.deepEqual(Object.keys(rest), ['expr']);
    assert.match(String(labels.severity), /^(critical|warning)$/);
    assert.deepEqual(Object.keys(annotations), ['summary', 'description'], alert);
    if (wait !== undefined) assert.match(wait, /^\d+m$/);
    const used = [...annotations.summary!.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label!);
    for (const label of used) assert.ok(['instance', 'pool'].includes(label), alert);
  }
});

test('the runbook of docs/operations.md has each alert once, and no other', () => {
  const operations = read('../docs/operations.md');
  const [, section = ''] = operations.split('\n## When an alert fires\n');
  const rows = [...section.split('\n## ')[0]!.matchAll(/^\| `(\w+)` \| (.+) \| (.+) \|$/gm)];
  assert.deepEqual(
    rows.map(([, alert]) => alert),
    RULES.map(({ alert }) => alert),
  );
  for (const [, alert, look, act] of rows) {
    for (const [series] of `${look} ${act}`.matchAll(/vanitypool_\w+/g)) {
      assert.ok(
        operations.includes(`\`${series}\``) || operations.includes(series.slice(10)),
        alert,
      );
    }
  }
});

test('panels have ids of their own and do not overlap', () => {
  const { panels } = DASHBOARD;
  assert.ok(panels.length > 15);
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Set<string>();
  for (const { title, gridPos } of panels) {
    const { x, y, w, h } = gridPos;
    assert.ok(x + w <= 24, title);
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        assert.ok(!taken.has(`${column} ${line}`), title);
        taken.add(`${column} ${line}`);
      }
    }
  }
});
