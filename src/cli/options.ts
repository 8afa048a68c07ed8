/**
 * What the flags of several commands share: reading numbers and patterns, and the nearest known
 * name for one that is not. What is wrong is USAGE_INVALID, with the flag and what is allowed.
 */

import { VanityError } from '../errors.ts';
import { type Pattern, parsePattern } from '../keypair/pattern.ts';
import { KEY_TYPES, type KeyType } from '../keypair/signing-key.ts';
import { commandThreads, readCpuLimits } from '../system/cores.ts';
import { endingSignals } from './hang-up.ts';

export interface PatternValues {
  readonly prefix?: string | undefined;
  readonly suffix?: string | undefined;
  readonly 'ignore-case'?: boolean | undefined;
}

const THREADS_MAX = 1024;

/** Errors: USAGE_INVALID without a side, and those of a pattern. */
export function readPattern(values: PatternValues): Pattern {
  const { prefix = '', suffix = '', 'ignore-case': ignoreCase = false } = values;
  if (prefix === '' && suffix === '') {
    throw usage('which address? give --suffix PATTERN, --prefix PATTERN or both');
  }
  return parsePattern({ prefix, suffix, ignoreCase });
}

/**
 * All cores when the flag is not given, or as many as a CPU quota can keep busy. `other`: of `--num-threads`, its name in
 * `solana-keygen`.
 */
export function readThreads(text: string | undefined, other?: string): number {
  if (text !== undefined && other !== undefined) {
    throw usage('--num-threads: is another name of --threads; give one of both');
  }
  const flag = other === undefined ? '--threads' : '--num-threads';
  return readWhole(flag, text ?? other, commandThreads(readCpuLimits()), THREADS_MAX);
}

/** Seeds when the flag is not given. */
export function readKeyType(text = 'seed'): KeyType {
  const keyType = KEY_TYPES.find((known) => known === text);
  if (keyType !== undefined) return keyType;
  const allowed = KEY_TYPES.map((known) => `"${known}"`).join(', ');
  throw usage(`--keys: ${JSON.stringify(text)} is not allowed; allowed: ${allowed}`);
}

/** From 1 to `max`; `fallback` when the flag is not given. */
export function readWhole(
  flag: string,
  text: string | undefined,
  fallback: number,
  max: number,
): number {
  if (text === undefined) return fallback;
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= max) return value;
  throw usage(
    `${flag}: ${JSON.stringify(text)} is not allowed; allowed: a whole number from 1 to ${max}`,
  );
}

/** The files that a command is given, of which it takes any number. */
export function assertFiles(command: string, files: readonly string[]): void {
  const usageLine = `usage: vanitypool ${command} FILES...`;
  if (files.length === 0) throw usage(`${command}: which files? ${usageLine}`);
  if (files.includes('')) throw usage(`${command}: file "" is not allowed; ${usageLine}`);
}

/** Exit code of a command that a signal has ended. */
export const INTERRUPTED = 130;

/** Until the command has ended. */
export interface Interrupt extends Disposable {
  readonly signal: AbortSignal;
}

/** Aborts at the first signal that ends a command; a second one exits at once, after what `last` has to say. */
export function interruptible(last: () => string = () => ''): Interrupt {
  const controller = new AbortController();
  const interrupt = () => {
    if (!controller.signal.aborted) return controller.abort();
    process.stderr.write(last());
    process.exit(INTERRUPTED);
  };
  return { signal: controller.signal, ...atEnd(interrupt) };
}

/** Says this `text` at a signal that ends the command, and exits: something may be half done. */
export function sayIfInterrupted(text: () => string): Disposable {
  return atEnd(() => {
    process.stderr.write(text());
    process.exit(INTERRUPTED);
  });
}

function atEnd(listener: () => void): Disposable {
  const signals = endingSignals();
  for (const signal of signals) process.on(signal, listener);
  return {
    [Symbol.dispose]: () => {
      for (const signal of signals) process.off(signal, listener);
    },
  };
}

/** The error with what to type next, on lines of its own. */
export function advised(error: unknown, advice: string): unknown {
  return Object.assign(Object(error), { advice });
}

export function adviceOf(error: unknown): string {
  return (error as { readonly advice?: string }).advice ?? '';
}

/** As a shell reads it: one word. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A value that looks like an option stands in one word with its own. */
export function optionWords(option: string, value: string): string[] {
  return value.startsWith('-') ? [`${option}=${value}`] : [option, value];
}

export function usage(message: string): VanityError {
  return new VanityError('USAGE_INVALID', message);
}

/** The known name that takes the fewest changes to reach, if they are few. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, changes: changesBetween(name, candidate) }))
    .sort((one, other) => one.changes - other.changes);
  const best = ranked[0];
  return best !== undefined && best.changes <= Math.max(1, best.candidate.length / 3)
    ? best.candidate
    : undefined;
}

/** For a message on a name that there is not: the nearest that there is, and all. */
export function hint(name: string, known: readonly string[], plural: string): string {
  const near = nearest(name, known);
  return `${near === undefined ? '' : `; did you mean ${near}?`} (${plural}: ${known.join(', ')})`;
}

/** Letters to insert, delete or replace (Levenshtein), row by row. */
function changesBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let at = 1; at <= from.length; at++) {
    const next = [at];
    for (let index = 1; index <= to.length; index++) {
      const replace = row[index - 1]! + Number(from[at - 1] !== to[index - 1]);
      next.push(Math.min(replace, row[index]! + 1, next[index - 1]! + 1));
    }
    row = next;
  }
  return row[to.length]!;
}
