/**
 * `vanitypool top`: the pools of a running server, live: in the terminal, or as one JSON object a
 * line. It lasts until `q`, Ctrl-C or a signal, which are its ordinary end, and over a restart of the
 * server.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusEvent } from '../api/service.ts';
import { VanityError } from '../errors.ts';
import { readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { interruptible, usage } from './options.ts';
import { assertPlace, serverAt } from './or-store.ts';
import type { Outputs } from './output.ts';
import { TopScreen } from './top-screen.ts';

const RETRY_MS = 1000;
/** What a server says, or is, on its way to the next start. */
const PASSING = new Set(['SERVER_UNREACHABLE', 'DRAINING', 'OVERLOADED']);

interface View {
  show(url: string, latest: StatusEvent): Promise<void>;
  /** No more came, for this reason. */
  lose(reason: string): void;
  end(): void;
}

export async function top(args: string[], outputs: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'top',
    options: OPTIONS.top,
  });
  const { json = false } = values;
  assertPlace(values);
  if (!json && !outputs.isTerminal) {
    throw usage('standard output is no terminal; "vanitypool top --json" prints one status a line');
  }
  const end = new AbortController();
  using interrupt = interruptible();
  const signal = AbortSignal.any([interrupt.signal, end.signal]);
  let view: View | undefined;
  try {
    while (!signal.aborted) {
      try {
        // Anew each time: a server that is started again has another token of its own. What there is to warn
        // of is said before the screen is.
        const server = await serverAt(values, view === undefined ? outputs.stderr : undefined);
        for await (const status of server.follow(signal)) {
          view ??= json ? lines(outputs) : screen(() => end.abort());
          await view.show(server.url, status);
        }
        view?.lose('the server has ended the stream');
      } catch (error) {
        if (signal.aborted) break;
        const isPassing = error instanceof VanityError && PASSING.has(error.code);
        if (view === undefined || !isPassing) throw error;
        view.lose(error.message);
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    view?.end();
  }
  return 0;
}

function lines({ print, stderr }: Outputs): View {
  return {
    show: (_, status) => print(`${JSON.stringify(status)}\n`),
    lose: (reason) => void stderr.write(`vanitypool: ${reason}; trying again\n`),
    end: () => undefined,
  };
}

function screen(onEnd: () => void): View {
  const terminal = new TopScreen(process.stdout, process.stdin, onEnd);
  // Also when a second Ctrl-C ends the process where it stands.
  process.once('exit', () => terminal.end());
  let at = '';
  let latest: StatusEvent | undefined;
  return {
    show: async (url, status) => {
      const before = latest;
      at = url;
      latest = status;
      terminal.show({ url, latest, before, lost: undefined });
    },
    lose: (lost) => {
      if (latest !== undefined) terminal.show({ url: at, latest, before: undefined, lost });
    },
    end: () => terminal.end(),
  };
}
