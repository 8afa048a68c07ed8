/**
 * A network of its own for programs of a test, joined to this machine by a cable that can be cut: packets vanish
 * then, in both directions, and neither end hears of it, as no process between them can do it. Needs Linux, root,
 * `ip` (iproute2), `unshare` and `nsenter`.
 *
 * The network has no name, and goes with the last process in it: what is started there has to end with the test.
 * Nothing is left of both, whatever ends the test: shells beside it wait for the end of their standard input, which
 * the system closes. One keeps the network until then, and one removes the cable, which would stay for two minutes
 * if connections lead through it that nobody closed.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';

/** Programs of the administrator are not on everybody's path. */
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
const KEEPER = `trap '' INT TERM HUP; ip link set lo up && echo ready && exec cat`;
const REMOVER = `trap '' INT TERM HUP; cat; ip link delete "$0"`;
/** Networks of four addresses in 198.18.0.0/15, which is for tests of networks (RFC 2544). */
const NETWORKS = 2 ** 15;
const FIRST = [198, 18, 0, 0] as const;

/** For the options of a test: why there can be none. `.ci/run` installs what it needs: there nothing is skipped. */
export function withoutCable(): string | false {
  if (process.env.VANITYPOOL_EMULATE === '1') return false;
  if (process.platform !== 'linux') return 'network namespaces are of Linux';
  if (process.getuid!() !== 0) return 'only root may make a network namespace';
  const trial = 'ip link add one type veth peer name other';
  const { error, status, stderr } = run('unshare', '--net', '/bin/sh', '-c', trial);
  return status === 0 ? false : `needs a network namespace with a cable: ${error ?? stderr.trim()}`;
}

/** A program whose standard input stays open as long as the test runs. */
class Waiting implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;

  constructor(...[program = '', ...args]: readonly string[]) {
    const env = { ...process.env, PATH };
    this.process = spawn(program, args, {
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    this.ended = once(this.process, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.stdin!.end();
    await this.ended;
  }
}

export class Cable implements AsyncDisposable {
  /** Of both ends. */
  readonly here: string;
  readonly there: string;
  /** Starts a program at the other end. */
  readonly launcher: readonly string[];
  readonly #name: string;
  #held = new AsyncDisposableStack();

  static async laid(): Promise<Cable> {
    await using held = new AsyncDisposableStack();
    const keeper = held.use(new Waiting('unshare', '--net', '/bin/sh', '-c', KEEPER));
    await Promise.race([once(keeper.process.stdout!, 'data'), keeper.ended]);
    const pid = keeper.process.pid!;
    const number = connect(pid);
    held.use(new Waiting('/bin/sh', '-c', REMOVER, nameOf(number)));
    const cable = new Cable(number, pid);
    cable.#held = held.move();
    return cable;
  }

  private constructor(number: number, pid: number) {
    this.launcher = ['nsenter', `--net=/proc/${pid}/ns/net`];
    this.#name = nameOf(number);
    this.here = addressOf(number, 1);
    this.there = addressOf(number, 2);
    for (const [address, at] of [
      [this.here, []],
      [this.there, this.launcher],
    ] as const) {
      must(...at, 'ip', 'address', 'add', `${address}/30`, 'dev', this.#name);
      must(...at, 'ip', 'link', 'set', this.#name, 'up');
    }
  }

  /** As seen from the other end, of what listens at this end. */
  through(url: string): string {
    return url.replace('127.0.0.1', this.here);
  }

  cut(): void {
    must('ip', 'link', 'set', this.#name, 'down');
  }

  mend(): void {
    must('ip', 'link', 'set', this.#name, 'up');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#held.disposeAsync();
  }
}

/** A network that nobody has here: whose name is not taken. */
function connect(pid: number): number {
  for (;;) {
    const number = randomInt(NETWORKS);
    const peer = ['peer', 'name', nameOf(number), 'netns', String(pid)];
    const { error, status, stderr } = run(
      'ip',
      'link',
      'add',
      nameOf(number),
      'type',
      'veth',
      ...peer,
    );
    if (status === 0) return number;
    assert.match(String(error ?? stderr), /File exists/);
  }
}

function nameOf(number: number): string {
  return `vanity${number}`;
}

function addressOf(number: number, end: number): string {
  const [first, second] = FIRST;
  const place = number * 4 + end;
  return [first, second + (place >> 16), (place >> 8) & 255, place & 255].join('.');
}

function must(...command: readonly string[]): void {
  const { error, status, stderr } = run(...command);
  assert.equal(status, 0, `${command.join(' ')}: ${error ?? stderr}`);
}

function run(...[program = '', ...args]: readonly string[]) {
  return spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, PATH } });
}
