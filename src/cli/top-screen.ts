/**
 * The terminal of `vanitypool top`: drawn anew without flicker, also when its size changes, and asked
 * for the keys that end it. At the end, and when the process is stopped, it is as it was before: its
 * own text comes back, with the cursor, and keys are echoed again.
 */
import { type Line, linesOf, type Shown } from './top-layout.ts';

/** Of a terminal that does not say how large it is. */
const COLUMNS = 80;
const ROWS = 24;

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
/** A terminal that knows of updates shows them whole; others ignore it. */
const BEGIN_UPDATE = '\x1b[?2026h\x1b[H';
const END_UPDATE = '\x1b[J\x1b[?2026l';
const CLEAR_REST = '\x1b[K';
const PLAIN = '\x1b[m';
const STYLES: Readonly<Record<Line['style'], string>> = {
  title: '\x1b[1m',
  wrong: '\x1b[31m',
  plain: '',
};
/** `q`, and Ctrl-C, which is a key while each is read as it is pressed. */
const END_KEYS = /[qQ\x03]/;
/** Ctrl-Z. */
const STOP_KEY = '\x1a';

export class TopScreen {
  readonly #stdout: NodeJS.WriteStream;
  /** Undefined where there are none to read: standard input is no terminal. */
  readonly #keys: NodeJS.ReadStream | undefined;
  readonly #onEnd: () => void;
  readonly #redraw = () => this.#draw();
  readonly #continue = () => this.#enter();
  readonly #read = (keys: Buffer) => this.#press(keys.toString('latin1'));
  #shown: Shown | undefined;
  #hasEnded = false;

  /** `onEnd` is called when the user wants it to end. */
  constructor(stdout: NodeJS.WriteStream, stdin: NodeJS.ReadStream, onEnd: () => void) {
    this.#stdout = stdout;
    this.#keys = stdin.isTTY ? stdin : undefined;
    this.#onEnd = onEnd;
    stdout.on('resize', this.#redraw);
    this.#keys?.on('data', this.#read);
    process.on('SIGCONT', this.#continue);
    this.#enter();
  }

  show(shown: Shown): void {
    this.#shown = shown;
    this.#draw();
  }

  /** Once, however often it is called. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#stdout.off('resize', this.#redraw);
    this.#keys?.off('data', this.#read).pause();
    process.off('SIGCONT', this.#continue);
    this.#leave();
  }

  /** Again after it was stopped: a shell has the terminal to itself meanwhile. */
  #enter(): void {
    this.#keys?.setRawMode(true);
    this.#stdout.write(ENTER);
    this.#draw();
  }

  #leave(): void {
    this.#keys?.setRawMode(false);
    this.#stdout.write(LEAVE);
  }

  #press(keys: string): void {
    if (END_KEYS.test(keys)) this.#onEnd();
    else if (keys.includes(STOP_KEY)) {
      this.#leave();
      // As the terminal does it, to all of the job; it goes on here, where nobody could continue it at once.
      process.kill(0, 'SIGTSTP');
      this.#enter();
    }
  }

  /** In one write, over what is there: a screen that is cleared first flickers. */
  #draw(): void {
    if (this.#shown === undefined || this.#hasEnded) return;
    const { columns, rows } = this.#stdout;
    const lines = linesOf(this.#shown, columns || COLUMNS, rows || ROWS).map(({ text, style }) => {
      const begin = STYLES[style];
      return `${begin}${text}${begin === '' ? '' : PLAIN}${CLEAR_REST}`;
    });
    this.#stdout.write(`${BEGIN_UPDATE}${lines.join('\r\n')}${END_UPDATE}`);
  }
}
