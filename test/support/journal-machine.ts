/**
 * Machines of which a test says where their memory is, which start this is of them, and whether a
 * process runs beside the host's or in a container. The memory is a directory in real tmpfs, where
 * there is any.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { placeName } from '../../src/disk/place.ts';
import {
  hasMemory,
  type Machine,
  memoryPath,
  THIS_MACHINE,
} from '../../src/pool/journal-places.ts';
import { NODE_FILE } from '../../src/store/postgres/node-file.ts';

/** Where the dispense journals of the store in a data directory lie: on disk if none are in memory. */
export function journalsOf(dataDirectory: string): string {
  using db = new DatabaseSync(join(dataDirectory, 'store.db'), { readOnly: true });
  const { store_id, place } = db.prepare('SELECT store_id, place FROM meta').get()!;
  const memory = memoryPath(THIS_MACHINE, String(store_id), placeName(String(place)));
  return existsSync(memory) ? memory : join(dataDirectory, 'journal');
}

/** Of the stores of databases that the node of this data directory has been one of. */
export function removeJournalsOfNode(dataDirectory: string): void {
  const id = /"id":"([0-9a-f]{32})"/.exec(
    readFileSync(join(dataDirectory, NODE_FILE), 'utf8'),
  )?.[1];
  const place = id?.slice(0, 16);
  if (place === undefined) return;
  // The last directory is named by store and place.
  const all = dirname(memoryPath(THIS_MACHINE, 'any', place));
  for (const name of existsSync(all) ? readdirSync(all) : []) {
    if (name.endsWith(`-${place}`)) rmSync(join(all, name), { recursive: true, force: true });
  }
}

/** Why a test that needs memory cannot run here; false if it can. */
export const WITHOUT_MEMORY = hasMemory(THIS_MACHINE)
  ? false
  : `${THIS_MACHINE.memory} is no memory-backed storage`;

/** Inode numbers of the host's namespaces, as the kernel fixes them. */
const HOST = { pid: 4026531836, ipc: 4026531839 } as const;

export type TestMachine = Machine & Disposable;

/** The host's own process, with memory that is gone when it is disposed of. */
export function testMachine(more: Partial<Machine> = {}): TestMachine {
  const base = WITHOUT_MEMORY === false ? THIS_MACHINE.memory : tmpdir();
  const memory = mkdtempSync(join(base, 'vanitypool-test-'));
  return {
    memory,
    bootId: () => 'this start',
    namespace: (kind) => HOST[kind],
    ...more,
    [Symbol.dispose]: () => rmSync(memory, { recursive: true, force: true }),
  };
}
