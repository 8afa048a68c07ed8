import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { assertReadyMemory, journalBytes } from '../../src/store-thread/ready-memory.ts';
import { collectedLog, type Line } from '../support/collected-log.ts';

const MIB = 2 ** 20;
const root = mkdtempSync(join(tmpdir(), 'vanitypool-'));
after(() => rmSync(root, { recursive: true }));
mkdirSync(join(root, 'proc'));

function available(mebibytes: number): void {
  writeFileSync(join(root, 'proc/meminfo'), `MemAvailable: ${mebibytes * 1024} kB\n`);
}

/** 10,000 addresses each. */
const two = Array.from({ length: 2 }, () => ({ ready: 10_000, readyMax: 10_000 }));

test('an address takes 152 bytes of the queue and 96 of each journal in memory', () => {
  const log = collectedLog();
  const threads = 8;
  const needed = Math.ceil((20_000 * (152 + 96 * (threads + 1))) / MIB);
  available(needed);
  assertReadyMemory(two, threads + 1, log, root);
  available(needed - 1);
  assert.throws(() => assertReadyMemory(two, threads + 1, log, root), {
    code: 'SYSTEM_LIMIT_REACHED',
    message:
      `2 pools: ${needed} MiB are needed for what is kept ready and its journals, and MemAvailable of the ` +
      `machine leaves ${needed - 1} MiB; take a lower ready, fewer http.threads or fewer pools`,
  });
  available(Math.ceil((20_000 * 152) / MIB));
  assertReadyMemory(two, 0, log, root);
  assert.deepEqual(log.lines, []);
});

test('a journal is not smaller than its first part', () => {
  assert.equal(journalBytes([{ ready: 1, readyMax: 1 }], 3), 3 * 1152 * 96);
});

test('what demand could make of it is a warning', () => {
  const log = collectedLog();
  available(10);
  const pools = [{ ready: 10, readyMax: 1_000_000 }];
  assertReadyMemory(pools, 0, log, root);
  const could = Math.ceil((1_000_000 * 152) / MIB);
  const [{ level, msg, fields }] = log.lines as [Line];
  assert.deepEqual([level, fields.couldMib, fields.roomMib], ['warn', could, 10]);
  assert.match(msg, /ready_max/);
});
