/**
 * A fresh clone of this repository, with the changes of the working tree, in a directory of its own:
 * what somebody has who follows the documents. Only what `npm start` would download and build is
 * there already. Servers in it take a port of their own. `reset` makes it fresh again for the next
 * document.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SMALL_MACHINE, stateHome } from './cli.ts';
import { journalsOf } from './journal-machine.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** As the documents write it. */
const PORT = ':5057';
/** What a command is waited for; nothing waits for less on a fast machine. */
const COMMAND_MS = 300_000;

export interface Outcome {
  readonly code: number | null;
  /** Standard output and error, as they came. */
  readonly output: string;
}

export class FreshClone implements AsyncDisposable {
  readonly #home = mkdtempSync(join(tmpdir(), 'vanitypool-clone-'));
  readonly path = join(this.#home, 'vanitypool');
  readonly #port: number;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #lasting = new Set<Lasting>();

  /** `env`: beside that of the test. */
  static async make(env: Readonly<Record<string, string>> = {}): Promise<FreshClone> {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as { port: number };
    await new Promise((resolve) => probe.close(resolve));
    return new FreshClone(port, env);
  }

  constructor(port: number, env: Readonly<Record<string, string>>) {
    this.#port = port;
    this.#env = {
      ...process.env,
      XDG_STATE_HOME: stateHome(this.#home),
      NODE_OPTIONS: SMALL_MACHINE,
      VANITYPOOL_HTTP__PORT: `${port}`,
      BENCH_URL: `http://127.0.0.1:${port}`,
      VANITYPOOL_URL: `http://127.0.0.1:${port}`,
      ...env,
    };
    // Without a copy of the history, which nothing here reads.
    git(ROOT, 'clone', '--quiet', '--shared', ROOT, this.path);
    const changed = git(
      ROOT,
      'ls-files',
      '-z',
      '--modified',
      '--deleted',
      '--others',
      '--exclude-standard',
    );
    for (const file of changed.split('\0').filter((name) => name !== '')) {
      rmSync(join(this.path, file), { force: true });
      if (existsSync(join(ROOT, file))) cpSync(join(ROOT, file), join(this.path, file));
    }
    git(this.path, 'add', '--all');
    git(this.path, ...AUTHOR, 'commit', '--quiet', '--allow-empty', '--message', 'as it is here');
    this.#install();
  }

  /** The address of its server, which the documents have at port 5057. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.path, file), text);
  }

  /** Runs a command of a document by bash, in the clone, to its end. */
  async run(command: string): Promise<Outcome> {
    const child = this.#spawn(command, COMMAND_MS);
    let output = '';
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, output };
  }

  /** Starts a command that lasts, and waits until it says this. */
  async start(command: string, sign: RegExp): Promise<Lasting> {
    const lasting = new Lasting(this.#spawn(command), () => this.#lasting.delete(lasting));
    this.#lasting.add(lasting);
    await lasting.says(sign);
    return lasting;
  }

  /** What `git status` names that is neither committed nor ignored. */
  untracked(): string {
    return git(this.path, 'status', '--porcelain');
  }

  /** Stops what runs, and removes what it and the commands made. */
  async reset(): Promise<void> {
    for (const lasting of this.#lasting) await lasting.stop();
    this.#removeJournals();
    git(this.path, 'clean', '-dfxq', '--exclude=/node_modules', '--exclude=/build');
    rmSync(stateHome(this.#home), { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const lasting of this.#lasting) await lasting.stop();
    this.#removeJournals();
    rmSync(this.#home, { recursive: true, force: true });
  }

  #removeJournals(): void {
    for (const name of ['data', 'restored', 'listed']) {
      const data = join(this.path, name);
      if (existsSync(join(data, 'store.db')))
        rmSync(journalsOf(data), { recursive: true, force: true });
    }
  }

  #spawn(command: string, timeout?: number): ChildProcess {
    const text = command.replaceAll(PORT, `:${this.#port}`);
    return spawn('bash', ['-c', text], {
      cwd: this.path,
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: what bash starts is stopped with it, as by Ctrl-C.
      detached: true,
      ...(timeout !== undefined && { timeout, killSignal: 'SIGKILL' }),
    });
  }

  /** As set-up leaves it: links to each package, and what was built of the same sources. */
  #install(): void {
    const [from, to] = [join(ROOT, 'node_modules'), join(this.path, 'node_modules')];
    mkdirSync(to);
    for (const name of readdirSync(from)) {
      if (name !== '.cache') symlinkSync(join(from, name), join(to, name));
    }
    const hash = createHash('sha256').update(readFileSync(join(this.path, 'package-lock.json')));
    const made = join(to, '.package-lock.json');
    if (existsSync(made)) hash.update(readFileSync(made));
    const stamp = join(to, '.vanitypool-lockfile');
    rmSync(stamp, { force: true });
    writeFileSync(stamp, hash.digest('hex'));
    const build = join(this.path, 'build');
    for (const name of ['client', 'dashboard', 'vanitypool.node', 'vanitypool.node.hash']) {
      const source = join(ROOT, 'build', name);
      if (!existsSync(source)) continue;
      mkdirSync(dirname(join(build, name)), { recursive: true });
      cpSync(source, join(build, name), { recursive: true });
    }
    symlinkSync(process.execPath, join(build, 'node'));
  }
}

const AUTHOR = [
  '-c',
  'user.name=test',
  '-c',
  'user.email=test@localhost',
  '-c',
  'commit.gpgsign=false',
];

function git(cwd: string, ...args: string[]): string {
  return execFileSync('git', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

/** A command that runs until it is stopped, as with Ctrl-C in its terminal. */
export class Lasting {
  readonly #process: ChildProcess;
  readonly #onEnd: () => void;
  readonly #closed: Promise<unknown>;
  output = '';

  constructor(process: ChildProcess, onEnd: () => void) {
    this.#process = process;
    this.#onEnd = onEnd;
    this.#closed = once(process, 'close');
    for (const stream of [process.stdout!, process.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
  }

  async says(sign: RegExp): Promise<void> {
    while (!sign.test(this.output)) {
      assert.equal(this.#process.exitCode, null, this.output);
      const more = once(this.#process.stdout!, 'data').catch(() => undefined);
      const moreErrors = once(this.#process.stderr!, 'data').catch(() => undefined);
      await Promise.race([more, moreErrors, this.#closed]);
    }
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null) process.kill(-this.#process.pid!, 'SIGINT');
    await this.#closed;
    this.#onEnd();
  }
}
