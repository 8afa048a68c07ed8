/**
 * The log of a thread: JSON lines, or one readable line each on a terminal. Every thread opens
 * its own and writes to standard error straight away, so that a crash loses none. Standard output belongs to
 * what a command was asked for. Nobody logs a secret, a request header or an address that was
 * not dispensed.
 */
import { writeSync } from 'node:fs';
import { pino } from 'pino';
import type { LastWarnings } from './last-warnings.ts';

export type Log = pino.Logger;
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const STDERR = 2;

/**
 * `thread` names the thread in each line; `pretty` makes lines for a person. Warnings and errors that are written
 * are noted in `last`, too.
 */
export function createLog(
  thread: string,
  level: LogLevel,
  pretty: boolean,
  last?: LastWarnings,
): Log {
  const write = (line: string) => {
    writeAll(pretty ? readable(line) : line);
    last?.note(line);
  };
  return pino(
    {
      level,
      base: { thread },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
}

/** A pipe gives EAGAIN if its reader is slow and EPIPE if it is gone: neither may stop us. */
function writeAll(text: string): void {
  try {
    writeSync(STDERR, text);
  } catch {}
}

const HIDDEN = new Set(['level', 'time', 'thread', 'msg']);

function readable(line: string): string {
  const entry = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(entry)
    .filter(([name]) => !HIDDEN.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const time = String(entry.time).slice(11, 19);
  return `${[time, String(entry.level).padEnd(5), entry.msg, ...fields].join(' ')}\n`;
}
