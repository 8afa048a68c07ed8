/**
 * The token that somebody typed: in memory alone, forgotten with the page, and after 15 minutes in which nobody
 * touched the page.
 */
const IDLE_MS = 15 * 60_000;
const LOOK_MS = 5000;
const TOUCHES = ['keydown', 'pointerdown', 'pointermove', 'wheel', 'touchstart'] as const;

export class Session {
  #token: string | undefined;
  #touchedAt = performance.now();

  /** `onIdle`: after the token is forgotten. */
  constructor(onIdle: () => void) {
    for (const touch of TOUCHES) {
      addEventListener(touch, () => this.#touch(), { passive: true });
    }
    setInterval(() => {
      if (this.#token === undefined || performance.now() - this.#touchedAt < IDLE_MS) return;
      this.#token = undefined;
      onIdle();
    }, LOOK_MS);
  }

  get token(): string | undefined {
    return this.#token;
  }

  set token(token: string | undefined) {
    this.#token = token;
    this.#touch();
  }

  #touch(): void {
    this.#touchedAt = performance.now();
  }
}
