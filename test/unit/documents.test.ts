/**
 * The documents are checked against the program: links lead somewhere, and docs/operations.md has every
 * configuration key, metric and log line. Another test checks the error codes of docs/http-api.md.
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { HELP } from '../../src/cli/help.ts';
import { loadConfig } from '../../src/config/config.ts';
import { POOL_SETTINGS, spelled } from '../../src/config/pool-settings.ts';
import { createMetrics } from '../../src/http/metrics.ts';
import { Deadline } from '../../src/pool/deadline.ts';
import { GrinderThreads } from '../../src/pool/grinder-threads.ts';
import { grinderBoard, StoreHealth } from '../../src/pool/health.ts';
import { NodeFigures } from '../../src/pool/node-figures.ts';
import { Tallies } from '../../src/pool/tallies.ts';
import { unlimitedFiles } from '../support/unlimited-files.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const OPERATIONS = read('docs/operations.md');
const DOCUMENTS = globSync(['*.md', 'docs/*.md'], { cwd: ROOT });

/** As GitHub makes them of headings, for those that are used here. */
function anchorsOf(document: string): string[] {
  return [...document.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^a-z0-9 -]/g, '')
      .replaceAll(' ', '-'),
  );
}

test('every link of a document leads to a file, and to a heading of it', () => {
  let links = 0;
  for (const path of DOCUMENTS) {
    for (const [, target] of read(path).matchAll(/\]\(([^)]+)\)/g)) {
      if (target!.startsWith('https:')) continue;
      const [file = '', anchor] = target!.split('#');
      const place = file === '' ? path : join(dirname(path), file);
      assert.ok(existsSync(join(ROOT, place)), `${path}: ${target}`);
      if (anchor !== undefined)
        assert.ok(anchorsOf(read(place)).includes(anchor), `${path}: ${target}`);
      links++;
    }
  }
  assert.ok(links > 40, `only ${links} links were found`);
});

test('every file and folder that ARCHITECTURE.md and CONTRIBUTING.md name in code is there', () => {
  for (const path of ['ARCHITECTURE.md', 'CONTRIBUTING.md', 'README.md']) {
    for (const [, name] of read(path).matchAll(/`((?:src|test|bench|native|docs)\/[^`]*)`/g)) {
      assert.ok(globSync(name!, { cwd: ROOT }).length > 0, `${path}: ${name}`);
    }
  }
});

test('each answer of "Where is what" is there: the file, and what it is called in it', () => {
  const [, section = ''] = read('ARCHITECTURE.md').split('\n## Where is what\n');
  const rows = [...section.split('\n## ')[0]!.matchAll(/^\| (.+\?) \| (.+) \| (.+) \|$/gm)];
  assert.ok(rows.length >= 12, `only ${rows.length} rows`);
  for (const [, question, answer, names] of rows) {
    const [, path = ''] = /\]\(([^)]+)\)/.exec(answer!) ?? [];
    const source = read(path);
    for (const [, name] of names!.matchAll(/`(\w+)`/g)) {
      assert.match(source, new RegExp(`\\b${name}\\b(?! from)`), `${question} ${path}: ${name}`);
    }
  }
});

/** The error of an unknown key lists those that there are. */
function keysKnown(load: () => unknown): string[] {
  try {
    load();
  } catch (error) {
    return (error as Error).message.split('there are: ')[1]!.split(', ');
  }
  throw new Error('an unknown key was taken');
}

test('every configuration key is documented', () => {
  const keys = keysKnown(() => loadConfig({ cwd: '/', flags: { unheard: 1 } }));
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  const file = join(directory, 'vanitypool.toml');
  try {
    for (const table of ['pools', 'webhooks']) {
      writeFileSync(file, `[[${table}]]\nunheard = 1\n`);
      keys.push(...keysKnown(() => loadConfig({ file })));
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  assert.ok(keys.length > 25, `only ${keys.length} keys were found`);
  for (const key of keys) assert.ok(OPERATIONS.includes(`\`${key}\``), key);
});

test('the defaults are as documented', () => {
  const { http, store, grinder, logLevel } = loadConfig({ cwd: '/' });
  const documented = new Map(
    [...OPERATIONS.matchAll(/^\| `([a-z_.]+)` \| `?"?([^`"|]+?)"?`? \|/gm)].map(
      ([, key, value]) => [key, value],
    ),
  );
  for (const [key, value] of Object.entries({
    log_level: logLevel,
    'http.host': http.host,
    'http.port': http.port,
    'http.threads': http.threads,
    'http.insecure': http.insecure,
    'http.trust_proxy': http.trustProxy,
    'http.rate_limit': http.rateLimit,
    'http.max_connections': http.maxConnections,
    'http.compat': http.compat,
    'http.drain_seconds': http.drainSeconds,
    'http.keep_alive_seconds': http.keepAliveSeconds,
    'store.journal': store.journal,
    'store.retention_hours': store.retentionHours,
    'grinder.batch': grinder.batch,
    'grinder.slice_ms': grinder.sliceMs,
    'grinder.priority': grinder.priority,
  })) {
    assert.equal(documented.get(key), String(value), key);
  }
});

/** Rows of the table of pool settings: `key`, default, and unit, range, meaning. */
const POOL_ROWS = new Map(
  [...OPERATIONS.matchAll(/^\| ((?:`[a-z_]+`(?:, )?)+) \|(.*?)\| (.*) \|$/gm)].flatMap(
    ([, keys, told, meaning]) =>
      keys!
        .split(', ')
        .map((key) => [key.replaceAll('`', ''), { told: told!.trim(), meaning }] as const),
  ),
);

for (const [name, setting] of Object.entries(POOL_SETTINGS)) {
  const key = spelled(name, '_');
  test(`the pool setting ${key} is told, with its default and its range`, () => {
    const { told, meaning = '' } = POOL_ROWS.get(key) ?? {};
    const isNeeded = name === 'name';
    assert.equal(told?.replaceAll('`', ''), isNeeded ? '' : JSON.stringify(setting.default), key);
    const range = 'min' in setting ? [`${setting.min} to ${setting.max} `] : [];
    const choices = 'values' in setting ? setting.values.map((value) => `"${value}"`) : [];
    for (const part of [...range, ...choices]) {
      assert.ok(meaning.replace(/(?<=\d),(?=\d)/g, '').includes(part), `${key}: ${part}`);
    }
  });
}

test('every pool setting that is told is there', () => {
  const [, table = ''] = OPERATIONS.split('| key of `[[pools]]` |');
  const [rows = ''] = table.split('\n\n');
  const keys = [...rows.matchAll(/^\| ((?:`[a-z_]+`(?:, )?)+) \|/gm)].flatMap(([, all]) => {
    return all!.replaceAll('`', '').split(', ');
  });
  const names = Object.keys(POOL_SETTINGS).map((name) => spelled(name, '_'));
  assert.deepEqual(keys.toSorted(), names.toSorted());
});

test('the variables of the environment work as told', () => {
  const told = [...OPERATIONS.matchAll(/`(VANITYPOOL_\w+)=(\w+)`/g)];
  assert.equal(told.length, 3);
  const env = Object.fromEntries(told.map(([, name, value]) => [name, value]));
  const { http, logLevel, pools } = loadConfig({ cwd: '/', env });
  assert.deepEqual([http.port, logLevel, pools[0]?.target], [5057, 'debug', 500]);
});

test('every metric is documented', async () => {
  const [deadline, nodes] = [new Deadline(), new NodeFigures()];
  deadline.set(1);
  const metrics = createMetrics({
    files: unlimitedFiles(),
    pools: new Map(),
    grinder: { board: grinderBoard(), threads: GrinderThreads.of(1) },
    storeHealth: new StoreHealth(),
    deadline,
    nodes,
    tallies: new Tallies(),
  });
  const names = [...(await metrics.render()).matchAll(/^# HELP (\w+) /gm)].map(([, name]) => name!);
  assert.ok(names.length > 10);
  for (const name of names) {
    const short = name.replace(/^vanitypool/, '');
    assert.ok(OPERATIONS.includes(`\`${name}\``) || OPERATIONS.includes(`\`${short}\``), name);
  }
});

test('every log line is documented', () => {
  const lines = globSync('src/**/*.ts', { cwd: ROOT }).flatMap((path) => {
    const calls = read(path).matchAll(
      /[lL]og\.(?:info|warn|error|fatal)\((?:\{[^}]*\},\s*)?'([^']+)'/g,
    );
    return [...calls].map(([, text]) => text!);
  });
  assert.ok(lines.length > 12, `only ${lines.length} lines were found`);
  for (const line of lines) {
    const [start = ''] = line.split(':');
    assert.ok(OPERATIONS.includes(line) || OPERATIONS.includes(`${start}: ...`), line);
  }
});

/** Words that are not those of the field: write "reported", "validated", "any client", "ends". */
const REFUSED =
  /\b(tell|tells|telling|told|whoever|holds? to|held to|(?:comes?|came) to (?:its|their|an) end|of its own accord|(?:has|have) yet to)\b/i;
/** Besides, in documents and help. */
const REFUSED_IN_DOCUMENTS = /\b(anew|for want of|(?:pass|passes|passed) over|goes on|go on)\b/i;
/** Comments, strings and regular expressions; the latter so that a quote in one begins no string. */
const PROSE =
  /\/\*[\s\S]*?\*\/|\/\/.*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|(?<=[(,=:[!&|?]\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//g;

/** Comments and strings of a program, without code in templates, each behind its line. */
function proseOf(path: string): [line: number, text: string][] {
  const text = read(path);
  return [...text.matchAll(PROSE)].flatMap(({ 0: prose, index }) =>
    prose
      .replace(/\$\{[^}]*\}/g, '')
      .split('\n')
      .map((part, row): [number, string] => [text.slice(0, index).split('\n').length + row, part]),
  );
}

test('documents, comments, log lines, help and errors are in the words of the field', () => {
  const ours = fileURLToPath(import.meta.url);
  const programs = globSync(
    [
      '{src,test,bench,examples,tools}/**/*.{ts,mjs,js,c,h}',
      'native/*.{c,h}',
      'ops/*.{json,yml,yaml,mjs}',
    ],
    { cwd: ROOT, exclude: ['**/node_modules/**'] },
  ).filter((path) => join(ROOT, path) !== ours);
  assert.ok(programs.length > 300, `only ${programs.length} files were found`);
  const faults: string[] = [];
  for (const path of programs) {
    for (const [line, text] of proseOf(path)) {
      const word = REFUSED.exec(text)?.[0];
      if (word !== undefined) faults.push(`${path}:${line}: ${word}`);
    }
  }
  for (const path of [...DOCUMENTS, ...globSync('{examples,ops}/*.md', { cwd: ROOT })]) {
    for (const [row, text] of read(path).split('\n').entries()) {
      const word = (REFUSED.exec(text) ?? REFUSED_IN_DOCUMENTS.exec(text))?.[0];
      if (word !== undefined) faults.push(`${path}:${row + 1}: ${word}`);
    }
  }
  for (const [command, { text, summary }] of Object.entries(HELP)) {
    const word = REFUSED_IN_DOCUMENTS.exec(`${summary}\n${text}`)?.[0];
    if (word !== undefined) faults.push(`help of ${command}: ${word}`);
  }
  assert.deepEqual(faults, []);
});

test('every word of the glossary is explained in one line', () => {
  const rows = [...read('docs/glossary.md').matchAll(/^\| \*\*(.+?)\*\* \| (.+) \|$/gm)];
  const words = rows.flatMap(([, names]) => names!.replaceAll('`', '').split(', '));
  assert.equal(new Set(words).size, words.length);
  for (const word of [
    'seed',
    'keypair',
    'expanded key',
    'address',
    'pattern',
    'difficulty',
    'grind',
    'candidate',
    'hit',
    'pool',
    'ready queue',
    'refill',
    'lease',
    'reservation',
    'dispense',
    'release',
    'burn',
    'seal',
    'unseal',
    'node',
    'epoch',
    'run',
    'turn',
    'board',
    'journal',
    'anchor',
    'witness',
    'place',
    'leave',
  ]) {
    assert.ok(words.includes(word), word);
  }
});
