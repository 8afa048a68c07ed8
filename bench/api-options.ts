/**
 * What `benchmark_api.sh` takes on its command line and from the environment. What it does not know
 * it refuses by name.
 */
import { parseArgs } from 'node:util';
import { nearest, usage } from '../src/cli/options.ts';
import { isToken } from '../src/token.ts';

export const HELP = `usage: ./benchmark_api.sh [options] [URL]

Measures a running server: 10 sequential requests, then 50 and 100 at once, each checked against
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
const TOKEN_FORM = 'vp_ and 43 letters, digits, - or _';
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
  const [url = env.BENCH_URL || 'http://127.0.0.1:5057', ...others] = positionals;
  if (others.length > 0) throw usage(`one server at a time; not also ${others.join(' ')}`);
  if (!/^http:\/\//.test(url) || !URL.canParse(url)) {
    throw usage(`${JSON.stringify(url)} is not the URL of a server; allowed: http://HOST:PORT`);
  }
  const token = (values.token ?? (env.VANITYPOOL_TOKEN || undefined))?.trim();
  if (token !== undefined && !isToken(token)) {
    const from = values.token === undefined ? 'VANITYPOOL_TOKEN' : '--token';
    throw usage(`${from}: not a token; allowed: ${TOKEN_FORM}`);
  }
  const isCompat = values.compat === true;
  return { base: new URL(url), token, isCompat, isWaiting: values.wait !== false };
}

interface Flags {
  readonly wait?: boolean;
  readonly token?: string;
  readonly compat?: boolean;
  readonly help?: boolean;
}

/** Node's own refusals are words for programmers. */
function parse(args: string[]): { values: Flags; positionals: string[] } {
  const form = { options: FLAGS, allowPositionals: true, allowNegative: true } as const;
  const { values, positionals, tokens } = parseArgs({ args, ...form, strict: false, tokens: true });
  let tokensGiven = 0;
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const { rawName, value, inlineValue } = token;
    if (![...FLAG_NAMES, '-h'].includes(rawName)) throw unknown(rawName);
    if (rawName !== '--token') {
      if (inlineValue) throw usage(`${rawName}: takes no value`);
    } else if (value === undefined || (!inlineValue && value.startsWith('-'))) {
      throw usage(`--token: its value is missing; allowed: ${TOKEN_FORM}`);
    } else if (++tokensGiven > 1) throw usage('--token: is given more than once; allowed: once');
  }
  return { values: values as Flags, positionals };
}

function unknown(name: string): Error {
  const near = nearest(name, FLAG_NAMES);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  return usage(`there is no option ${name}${hint} (options: ${FLAG_NAMES.join(', ')})`);
}
