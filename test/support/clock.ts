/**
 * The wall clock of a server, moved by a test while the server runs: a library that is built here
 * and preloaded into its process (clock-shim.c). Its monotonic clocks are the system's own, and so is
 * its uptime, unless a test lets the machine sleep.
 */
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compiled } from './compiled.ts';

const SOURCE = fileURLToPath(new URL('./clock-shim.c', import.meta.url));
const BUILD = fileURLToPath(new URL('../../build/', import.meta.url));
const HOUR_MS = 3_600_000;

/** Shows the right time until it is moved. */
export class WallClock implements Disposable {
  /** Of a program that goes by this clock. */
  readonly environment: Readonly<Record<string, string>>;
  readonly #directory: string;
  readonly #file: number;
  #shiftMs = 0;
  #suspendedMs = 0;

  constructor() {
    mkdirSync(BUILD, { recursive: true });
    this.#directory = mkdtempSync(join(BUILD, 'clock-'));
    const args = ['-std=c17', '-Wall', '-Wextra', '-O1', '-shared', '-fPIC', SOURCE];
    const library = compiled('clock-shim', args, [SOURCE]);
    const file = join(this.#directory, 'shift');
    this.#file = openSync(file, 'w');
    this.jump(0);
    this.environment = { LD_PRELOAD: library, CLOCK_SHIFT_FILE: file };
  }

  /** Milliseconds since 1970. */
  get now(): number {
    return Date.now() + this.#shiftMs;
  }

  /** Moves it, back if `hours` is negative. */
  jump(hours: number): void {
    this.#shiftMs += hours * HOUR_MS;
    this.#write();
  }

  /** The machine sleeps for so long, for all that the server can see. */
  suspend(hours: number): void {
    this.#suspendedMs += hours * HOUR_MS;
    this.jump(hours);
  }

  /** Both in one write. */
  #write(): void {
    const bytes = Buffer.alloc(16);
    bytes.writeBigInt64LE(BigInt(this.#shiftMs));
    bytes.writeBigInt64LE(BigInt(this.#suspendedMs), 8);
    writeSync(this.#file, bytes, 0, bytes.length, 0);
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
