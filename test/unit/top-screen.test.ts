/** The terminal of `top`, as one that keeps what is written; a real one is in test/e2e/top.test.ts. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { StatusEvent } from '../../src/api/service.ts';
import type { Shown } from '../../src/cli/top-layout.ts';
import { TopScreen } from '../../src/cli/top-screen.ts';

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';

function shown(uptimeMs: number, reasons: string[] = []): Shown {
  const at = new Date(uptimeMs).toISOString();
  const readiness = { status: 'ready', reasons } as const;
  const latest: StatusEvent = { at, uptimeMs, pools: [], readiness };
  return {
    url: 'http://127.0.0.1:5057',
    latest,
    before: undefined,
    lost: undefined,
  };
}

function terminal(columns: number, rows: number, isTTY = true) {
  const writes: string[] = [];
  const modes: boolean[] = [];
  const stdout = Object.assign(new EventEmitter(), {
    columns,
    rows,
    write: (text: string) => void writes.push(text),
  }) as unknown as NodeJS.WriteStream;
  const stdin = Object.assign(new EventEmitter(), {
    isTTY,
    setRawMode: (isRaw: boolean) => void modes.push(isRaw),
    pause: () => undefined,
  }) as unknown as NodeJS.ReadStream;
  let ends = 0;
  const screen = new TopScreen(stdout, stdin, () => ends++);
  return { writes, modes, stdout, stdin, screen, ends: () => ends };
}

test('each status is one write over the one before, and the terminal is left as it was', () => {
  const { writes, modes, stdout, screen } = terminal(100, 30);
  screen.show(shown(0));
  screen.show(shown(1000));
  assert.equal(writes.length, 3);
  assert.equal(writes[0], ENTER, 'a screen of its own, without a cursor');
  const [, , frame] = writes;
  assert.ok(!frame!.includes('\x1b[2J'), 'what is there is not cleared first');
  assert.ok(frame!.startsWith('\x1b[?2026h\x1b[H\x1b[1mvanitypool at '));
  assert.ok(frame!.endsWith('\x1b[J\x1b[?2026l'));
  for (const line of frame!.split('\r\n').slice(0, -1)) assert.ok(line.endsWith('\x1b[K'), line);
  stdout.columns = 30;
  stdout.emit('resize');
  assert.equal(writes.length, 4);
  assert.ok(writes[3]!.length < frame!.length);
  screen.end();
  screen.end();
  stdout.emit('resize');
  screen.show(shown(2000));
  assert.deepEqual(writes.slice(4), [LEAVE]);
  assert.deepEqual(modes, [true, false]);
});

test('q and Ctrl-C end it, and no other key', () => {
  const { stdin, screen, ends } = terminal(80, 24);
  for (const key of ['x', '\r', '\x1b[A', '']) stdin.emit('data', Buffer.from(key));
  assert.equal(ends(), 0);
  for (const key of ['q', 'Q', '\x03']) stdin.emit('data', Buffer.from(key));
  assert.equal(ends(), 3);
  screen.end();
  stdin.emit('data', Buffer.from('q'));
  assert.equal(ends(), 3);
});

test('where standard input is no terminal no key is read, and nothing is set', () => {
  const { stdin, modes, screen, writes } = terminal(80, 24, false);
  assert.equal(stdin.listenerCount('data'), 0);
  screen.end();
  assert.deepEqual(modes, []);
  assert.deepEqual(writes, [ENTER, LEAVE]);
});

test('what is wrong is red', () => {
  const { writes, screen } = terminal(80, 24);
  screen.show(shown(0, ['DISK_FULL']));
  assert.match(writes[1]!, /\x1b\[31mDISK_FULL\x1b\[m/);
  screen.end();
});
