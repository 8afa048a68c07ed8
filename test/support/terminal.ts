/**
 * The real command line on a real terminal, for tests: `script` of util-linux makes the terminal and
 * passes on what is typed and shown; a shell in it says how the terminal was left.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { PROGRAM, type RunOptions, stateHome } from './cli.ts';

const POLL_MS = 20;
/** One that hangs fails its test instead of holding it up. */
const LIFE_MAX_MS = 100_000;
const BEGIN_FRAME = '\x1b[H';
const END_FRAME = '\x1b[J';
/** How a line is shown, not what it says. */
const STYLE = /\x1b\[(\d*m|K)/g;

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export interface TerminalOptions extends Pick<RunOptions, 'cwd' | 'env'> {
  /** Of the program; the terminal unless it is given. */
  readonly input?: string;
}

/** It says what terminal it is, runs the program under job control, and says how it ended. */
const SHELL = `stty cols "$COLS" rows "$ROWS"; echo "tty=$(tty)"; echo "before=$(stty -g)"; set -m
sh -c 'echo "pid=$$"; exec "$0" "$@"' "$@" <"$INPUT"; code=$?
while [ "$code" = ${128 + constants.signals.SIGTSTP} ]
do echo "stopped=$(stty -g)"; read line; fg >/dev/null; code=$?; done
echo "after=$(stty -g)"; echo "code=$code"`;

export class Terminal implements AsyncDisposable {
  /** Everything that was shown, with what moves the cursor. */
  output = '';
  readonly #script: ChildProcess;
  readonly #exited: Promise<unknown>;

  constructor(
    args: readonly string[],
    size: Size,
    { cwd, env, input = '/dev/tty' }: TerminalOptions = {},
  ) {
    const quoted = [PROGRAM, ...args].map((arg) => `'${arg.replaceAll("'", `'\\''`)}'`).join(' ');
    this.#script = spawn('script', ['-qfc', `sh -c "$SHELL_TEXT" sh ${quoted}`, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      timeout: LIFE_MAX_MS,
      env: {
        ...process.env,
        XDG_STATE_HOME: stateHome(cwd),
        ...env,
        TERM: 'xterm',
        SHELL: '/bin/sh',
        SHELL_TEXT: SHELL,
        INPUT: input,
        COLS: String(size.columns),
        ROWS: String(size.rows),
      },
      ...(cwd !== undefined && { cwd }),
    });
    this.#exited = once(this.#script, 'close');
    this.#script.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
    });
  }

  type(keys: string): void {
    this.#script.stdin!.write(keys);
  }

  /** As a window does whose size is changed. */
  async resize({ columns, rows }: Size): Promise<void> {
    const [, tty] = await this.until(/tty=(\S+)\r/);
    const sizes = ['cols', String(columns), 'rows', String(rows)];
    await promisify(execFile)('stty', ['-F', tty!, ...sizes]);
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const [, pid] = await this.until(/pid=(\d+)\r/);
    process.kill(Number(pid), signal);
  }

  /** Waits until it has shown this; the test's own time limit ends it. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.output);
      if (found !== null) return found;
      assert.equal(this.#script.exitCode, null, this.output);
      await sleep(POLL_MS);
    }
  }

  /** Waits for a whole frame of which this is true; its lines as they are read. */
  async frame(isWanted: (lines: readonly string[]) => boolean): Promise<string[]> {
    for (;;) {
      const end = this.output.lastIndexOf(END_FRAME);
      const begin = this.output.lastIndexOf(BEGIN_FRAME, end);
      if (begin >= 0) {
        const text = this.output.slice(begin + BEGIN_FRAME.length, end);
        const lines = text.replaceAll(STYLE, '').split(/\r+\n/);
        if (isWanted(lines)) return lines;
      }
      assert.equal(this.#script.exitCode, null, this.output);
      await sleep(POLL_MS);
    }
  }

  /** The exit code, when the program has ended: the terminal has to be as it was before. */
  async ended(): Promise<number> {
    await this.#exited;
    const said = (name: string) => new RegExp(`${name}=(\\S+)`).exec(this.output)?.[1];
    assert.ok(said('before'), this.output);
    assert.equal(said('after'), said('before'), 'keys are echoed, lines are lines');
    return Number(said('code'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#script.exitCode === null) this.#script.kill('SIGKILL');
    await this.#exited;
  }
}
