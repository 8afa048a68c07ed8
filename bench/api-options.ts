/**
 * What `benchmark_api.sh` takes on its command line and from the environment. What it does not know
 * it refuses by name.
 */
import { parseArgs } from 'node:util';
import { nearest, usage } from '../src/cli/options.ts';
import { isToken } from '../src/token.ts';

export const HELP = `usage: ./benchmark_api.sh [options] [URL]

Measures a running server: 10 requests one after the other, then 50 and 100 at once, each held to
what is expected of it. Takes 160 addresses out of the pool "pet", for good.

  URL             of the server (default: BENCH_URL, else http://127.0.0.1:5057)
  --wait          wait until the pool has 160 addresses (default); Ctrl-C ends it, nothing is taken
  --no-wait       do not wait: with fewer it ends with 1
  --token TOKEN   a token with the scopes dispense and read (default: VANITYPOOL_TOKEN)
  --compat        measure the ancestor's route, GET /api/v1/pet/address
  --help          this text

Exit codes: 0 all as expected, 1 not, 2 wrong usage, 130 interrupted.
`;
const FLAGS = {
  wait: { type: 'boolean' },
  token: { type: 'string' },
  compat: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;
const FLAG_NAMES = ['--wait', '--no-wait', '--token', '--compat', '--help'];

export interface Options {
  readonly base: URL;
  readonly token: string | undefined;
  readonly isCompat: boolean;
  readonly isWaiting: boolean;
}

/** Undefined for the help. Errors: USAGE_INVALID. */
export function readOptions(args: string[], env: NodeJS.ProcessEnv): Options | undefined {
  const { values, positionals } = parse(args);
  if (values.help) return undefined;
  const [url = env.BENCH_URL ?? 'http://127.0.0.1:5057', ...others] = positionals;
  if (others.length > 0) throw usage(`one server at a time; not also ${others.join(' ')}`);
  if (!/^http:\/\//.test(url) || !URL.canParse(url)) {
    throw usage(`${JSON.stringify(url)} is not the URL of a server; allowed: http://HOST:PORT`);
  }
  const token = (values.token ?? (env.VANITYPOOL_TOKEN || undefined))?.trim();
  if (token !== undefined && !isToken(token)) {
    const from = values.token === undefined ? 'VANITYPOOL_TOKEN' : '--token';
    throw usage(`${from}: not a token; allowed: vp_ and 43 letters, digits, - or _`);
  }
  const isCompat = values.compat === true;
  return { base: new URL(url), token, isCompat, isWaiting: values.wait !== false };
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: FLAGS, allowPositionals: true, allowNegative: true });
  } catch (error) {
    const { message } = error as Error;
    const unknown = /^Unknown option '(-[^']*)'/.exec(message)?.[1];
    if (unknown === undefined) throw usage(message.replaceAll('\n', ' '));
    const near = nearest(unknown, FLAG_NAMES);
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    throw usage(`there is no option ${unknown}${hint} (options: ${FLAG_NAMES.join(', ')})`);
  }
}
