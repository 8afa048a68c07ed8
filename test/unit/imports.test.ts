/**
 * Imports point down only: each room may import the rooms below it, so that any part can be read
 * without those above. A type costs nothing at run time, and some rooms may import no more than that.
 * The file of a thread counts as imported by the file that starts it.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SRC = join(ROOT, 'src');

/** From the bottom up: what each room may import, as the table of ARCHITECTURE.md says it. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  'last-warnings': [],
  version: [],
  entry: [],
  'back-off': [],
  log: ['last-warnings'],
  token: ['errors'],
  port: ['errors'],
  system: ['entry', 'errors'],
  'called-thread': ['errors', 'port', 'system'],
  disk: ['errors', 'system'],
  config: ['disk', 'errors', 'log', 'system'],
  keypair: ['disk', 'errors'],
  grinder: ['ground', 'keypair'],
  store: ['ground', 'keypair'],
  'store/sqlite': ['ground', 'keypair', 'store'],
  'store/postgres': ['ground', 'keypair', 'store'],
  'store/open-store': ['ground', 'keypair', 'store', 'store/sqlite', 'store/postgres'],
  pool: ['ground', 'keypair', 'store'],
  'store-thread': ['ground', 'keypair', 'pool', 'store', 'store/sqlite', 'store/open-store'],
  webhooks: ['ground'],
  api: ['config', 'keypair'],
  http: ['api', 'ground', 'keypair', 'pool'],
  client: [],
  dashboard: ['client', 'errors', 'keypair'],
  'client/solana': ['client'],
  service: ['ground', 'grinder', 'http', 'pool', 'store-thread', 'webhooks'],
  offline: ['ground', 'keypair', 'pool', 'store', 'store/sqlite', 'store/open-store'],
  cli: ['api', 'client', 'ground', 'grinder', 'keypair', 'offline', 'service', 'webhooks'],
};

/** What a room may import the types of, and nothing else. */
const TYPES: Readonly<Record<string, readonly string[]>> = {
  api: ['store'],
  client: ['api', 'errors'],
  cli: ['pool', 'store'],
};

const ROOMS = Object.keys(BELOW);
/** These know nothing of keys or pools: `ground` is any of them. */
const GROUND = ROOMS.slice(0, ROOMS.indexOf('config') + 1);

interface Import {
  readonly file: string;
  /** A file of ours, without its ending, or a package. */
  readonly target: string;
  readonly isOurs: boolean;
  readonly isType: boolean;
  /** The file of a thread or a process that this one starts. */
  readonly isThread: boolean;
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s+(type\s)?[^'"();]*?from\s+['"]([^'"]+)['"]|(?:^|[^.\w])import\(\s*['"]([^'"]+)['"]\s*\)|\n\s*import\s+['"]([^'"]+)['"]|\bentry\(\s*import\.meta\.url,\s*['"](\.[^'"]+)['"]/g;

function importsOf(file: string, source: string): Import[] {
  return [...source.matchAll(IMPORT)].map(([, type, from, dynamic, bare, thread]) => {
    const name = from ?? dynamic ?? bare ?? thread ?? '';
    const isOurs = name.startsWith('.');
    const target = isOurs ? normalize(join(dirname(file), name)).replace(/\.ts$/, '') : name;
    return { file, target, isOurs, isType: type !== undefined, isThread: thread !== undefined };
  });
}

/** By file, what it imports of ours: values, types, and the threads that it starts. */
function edgesOf(found: readonly Import[]): ReadonlyMap<string, ReadonlySet<string>> {
  const edges = new Map<string, Set<string>>();
  for (const { file, target, isOurs } of found) {
    if (isOurs) edges.set(file, (edges.get(file) ?? new Set()).add(target));
  }
  return edges;
}

function reachedFrom(file: string, edges: ReturnType<typeof edgesOf>): ReadonlySet<string> {
  const reached = new Set<string>(edges.get(file));
  for (const one of reached) for (const next of edges.get(one) ?? []) reached.add(next);
  return reached;
}

/** Files that reach each other, with what they import of each other. */
function circlesOf(found: readonly Import[]): string[][] {
  const edges = edgesOf(found);
  const reached = new Map([...edges.keys()].map((file) => [file, reachedFrom(file, edges)]));
  const circles = new Map<string, string[]>();
  for (const [file, others] of reached) {
    const circle = [...others].filter((other) => reached.get(other)?.has(file)).sort();
    if (circle.length === 0) continue;
    const lines = circle.map((one) => {
      const within = [...edges.get(one)!].filter((target) => circle.includes(target));
      return `${one} -> ${within.join(', ')}`;
    });
    circles.set(circle.join(), lines);
  }
  return [...circles.values()];
}

/** The innermost room of the table that a file stands in, or its first folder. */
function roomOf(path: string): string {
  const places = path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'));
  return places.findLast((place) => Object.hasOwn(BELOW, place)) ?? places[0]!;
}

function isAllowed(room: string, rooms: readonly string[] = []): boolean {
  return rooms.includes(room) || (rooms.includes('ground') && GROUND.includes(room));
}

/** What is wrong with an import, or undefined. */
function wrong({ file, target, isType }: Import): string | undefined {
  const [from, to] = [roomOf(file), roomOf(target)];
  if (from === to || isAllowed(to, BELOW[from])) return undefined;
  if (isType && isAllowed(to, TYPES[from])) return undefined;
  return `${from} may not import ${target}`;
}

const files = globSync('**/*.ts', { cwd: SRC }).map((path) => path.replaceAll('\\', '/'));
const imports = files.flatMap((path) =>
  importsOf(path.replace(/\.ts$/, ''), readFileSync(join(SRC, path), 'utf8')),
);
const ours = imports.filter(({ isOurs }) => isOurs);

test('every file stands in a room that has a rule, and every room has a file', () => {
  const rooms = new Set(files.map((path) => roomOf(path.replace(/\.ts$/, ''))));
  assert.deepEqual([...rooms].sort(), [...ROOMS].sort());
});

test('rooms stand one above the other', () => {
  for (const [index, room] of ROOMS.entries()) {
    for (const below of [...BELOW[room]!, ...(TYPES[room] ?? [])]) {
      const place = below === 'ground' ? GROUND.length - 1 : ROOMS.indexOf(below);
      assert.ok(place >= 0 && place < index, `${room} may import ${below}, which is not below it`);
    }
  }
});

test('ARCHITECTURE.md says the same', () => {
  const document = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8');
  const [, section = ''] = document.split('\n## Rooms and imports\n');
  const namesIn = (cell = '') => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
  const told = [...section.split('\n## ')[0]!.matchAll(/^\| (`.+) \|$/gm)].flatMap(([, row]) => {
    const [rooms, , below, types] = row!.split('|');
    return namesIn(rooms).map((room) => [room, namesIn(below), namesIn(types)]);
  });
  const ruled = ROOMS.map((room) => [room, BELOW[room], TYPES[room] ?? []]);
  assert.deepEqual(told, ruled);
});

test('nothing is allowed that no file makes use of', () => {
  const isUsed = (room: string, below: string) =>
    ours.some(({ file, target }) => roomOf(file) === room && isAllowed(roomOf(target), [below]));
  for (const [room, rooms] of [...Object.entries(BELOW), ...Object.entries(TYPES)]) {
    const unused = rooms.filter((below) => !isUsed(room, below));
    assert.deepEqual(unused, [], room);
  }
});

test('no import points upward', () => {
  assert.ok(ours.length > 50, `only ${ours.length} imports were found`);
  const faults = ours.flatMap((one) => {
    const reason = wrong(one);
    return reason === undefined ? [] : [`src/${one.file}.ts: ${reason}`];
  });
  assert.deepEqual(faults, []);
});

test('no import closes a circle, not even of types', () => {
  assert.deepEqual(circlesOf(imports), []);
});

test('no Solana library is in the program: it is for tests', () => {
  const found = imports.filter(({ target, isOurs }) => {
    return !isOurs && /solana|@scure|fast-check/.test(target);
  });
  assert.deepEqual(
    found.map(({ file, target }) => `${file} -> ${target}`),
    [],
  );
});

test('threads are started in one place, which knows what the system may refuse', () => {
  const starting = files.filter((path) => {
    return /\bnew Worker\(/.test(readFileSync(join(SRC, path), 'utf8'));
  });
  assert.deepEqual(starting, ['system/threads.ts']);
});

test('the file of a thread or a process is named in one way, whatever its ending is', () => {
  const naming = files.filter((path) => {
    const source = readFileSync(join(SRC, path), 'utf8');
    return /(URL|resolve)\([^)]*\.ts['"`]/.test(source);
  });
  assert.deepEqual(naming, []);
  const threads = ours.filter(({ isThread }) => isThread).map(({ target }) => `${target}.ts`);
  assert.deepEqual(
    threads.filter((path) => !files.includes(path)),
    [],
  );
  assert.ok(threads.length >= 6, `only ${threads.length} were found`);
});

test('no file is a drawer or a barrel', () => {
  for (const path of files) {
    assert.doesNotMatch(path, /(^|\/)(utils?|helpers?|lib|common|types|index)\.ts$/);
    assert.doesNotMatch(readFileSync(join(SRC, path), 'utf8'), /^export \* from/m, path);
  }
});

test('the rule itself sees what it must see', () => {
  const source = `
    import { a } from './b.ts';
    import type { C } from '../api/pools.ts';
    import {
      d,
      type E,
    } from '../service/service.ts';
    export { f } from '../pool/pool.ts';
    const g = await import('../grinder/grinder.ts');
    import '../store/sqlite/open.ts';
    new Worker(entry(import.meta.url, './worker'));
    import { h } from 'node:fs';`;
  const found = importsOf('store/x', source);
  assert.deepEqual(
    found.map(({ target, isType }) => (isType ? `type ${target}` : target)),
    [
      'store/b',
      'type api/pools',
      'service/service',
      'pool/pool',
      'grinder/grinder',
      'store/sqlite/open',
      'store/worker',
      'node:fs',
    ],
  );
  const reasonFor = (file: string, target: string, isType = false) =>
    wrong({ file, target, isType, isThread: false, isOurs: true });
  assert.equal(reasonFor('keypair/pattern', 'errors'), undefined);
  assert.equal(reasonFor('keypair/pattern', 'log'), 'keypair may not import log');
  assert.equal(reasonFor('grinder/worker', 'store/store'), 'grinder may not import store/store');
  assert.equal(reasonFor('pool/pool', 'store/store'), undefined);
  assert.equal(reasonFor('pool/pool', 'service/service'), 'pool may not import service/service');
  assert.equal(reasonFor('http/app', 'store/sqlite/open'), 'http may not import store/sqlite/open');
  assert.equal(
    reasonFor('store/store', 'store/sqlite/open'),
    'store may not import store/sqlite/open',
  );
  assert.equal(reasonFor('store-thread/worker', 'pool/pool'), undefined);
  assert.equal(
    reasonFor('store/sqlite/open', 'pool/pool'),
    'store/sqlite may not import pool/pool',
  );
  assert.equal(reasonFor('client/client', 'api/pools', true), undefined);
  assert.equal(reasonFor('client/client', 'api/pools'), 'client may not import api/pools');
  assert.equal(reasonFor('http/worker', 'service/service'), 'http may not import service/service');
});

test('a circle is seen, whatever it is made of', () => {
  const sources = {
    'http/a': `import type { B } from './b.ts';`,
    'http/b': `export { c } from './c.ts'; entry(import.meta.url, './d');`,
    'http/d': `import { a } from './a.ts';`,
    'http/c': '',
    'http/e': `import { a } from './a.ts';`,
  };
  const found = Object.entries(sources).flatMap(([file, source]) => importsOf(file, source));
  assert.deepEqual(circlesOf(found), [
    ['http/a -> http/b', 'http/b -> http/d', 'http/d -> http/a'],
  ]);
  const itself = importsOf('http/a', `import { b } from './a.ts';`);
  assert.deepEqual(circlesOf(itself), [['http/a -> http/a']]);
});
