/**
 * `vanitypool token create | list | revoke | restore`: by the running server, or in the store when none runs.
 * The text of a token is printed once, alone on standard output, and kept nowhere: one that could not
 * be printed is revoked.
 */

import type { TokenMade, TokenView } from '../api/tokens.ts';
import { VanityError } from '../errors.ts';
import type { NewToken, StoredToken } from '../store/token-store.ts';
import { newToken, SCOPES, type Scope, tokenHash } from '../token.ts';
import { onePositional, readArguments, readVerb } from './arguments.ts';
import { TOKEN_OPTIONS } from './command-options.ts';
import { formatTable } from './format.ts';
import { advised, quoted, sayIfInterrupted, usage } from './options.ts';
import { askOrLook, assertPlace, type Place, wordsOf } from './or-store.ts';
import type { Outputs } from './output.ts';
import { mayBeDone } from './server-client.ts';

const VERBS = Object.keys(TOKEN_OPTIONS) as (keyof typeof TOKEN_OPTIONS)[];
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const SPAN_MS = { h: 3_600_000, d: 86_400_000 } as const;
const HEADINGS = ['name', 'scopes', 'pools', 'quota', 'expires', 'last used', 'state'];

export async function token(args: string[], outputs: Outputs): Promise<number> {
  const [verb, rest] = readVerb('token', args, VERBS);
  if (verb === 'create') return create(rest, outputs);
  if (verb === 'list') return list(rest, outputs);
  return verb === 'revoke' ? revoke(rest, outputs) : restore(rest, outputs);
}

async function create(args: string[], outputs: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'token create',
    options: TOKEN_OPTIONS.create,
    siblings: TOKEN_OPTIONS,
  });
  assertPlace(values);
  const wanted = {
    name: readName(values.name),
    scopes: readScopes(values.scope ?? []),
    pools: values.pool,
    quota: readQuota(values.quota),
    expiresAt: readExpiry(values.expires, Date.now()),
  };
  const undo = remedyOf(wanted.name, values);
  const mayBeMade = `If it was made, nobody has its text, so revoke it:\n  ${undo}\n`;
  using _interrupt = sayIfInterrupted(() => mayBeMade);
  const made = await askOrLook(
    values,
    (server) => {
      const { name, scopes, pools = null, quota = null, expiresAt: at } = wanted;
      const expiresAt = at === undefined ? null : new Date(at).toISOString();
      return server.ask(({ admin }) =>
        admin.createToken({ name, scopes, pools, quota, expiresAt }),
      );
    },
    async (config): Promise<TokenMade> => {
      const { createTokenOffline } = await import('../offline/tokens.ts');
      const { tokenMade } = await import('../api/views.ts');
      const text = newToken();
      const stored: NewToken = { ...wanted, hash: tokenHash(text) };
      const { made, isFirst } = await createTokenOffline(config, stored);
      return tokenMade(text, made, isFirst);
    },
    outputs,
  ).catch((error: unknown) => {
    throw mayBeDone(error) ? advised(error, mayBeMade) : error;
  });
  try {
    await outputs.print(values.json ? `${JSON.stringify(made)}\n` : `${made.token}\n`);
    outputs.syncOutput();
  } catch (error) {
    throw await undone(wanted.name, values, error as Error, outputs);
  }
  if (!values.json) outputs.stderr.write('This is the only time that it is shown.\n');
  if (made.warning !== null) outputs.stderr.write(`vanitypool: ${made.warning}\n`);
  return 0;
}

/** Revokes a token that could not be printed; returns what became of it. */
async function undone(
  name: string,
  place: Place,
  reason: Error,
  outputs: Outputs,
): Promise<unknown> {
  const made = `${reason.message}; token ${name} was made, and nobody has its text:`;
  try {
    await revokeToken(name, place, outputs);
    return new VanityError(
      'FILE_NOT_WRITABLE',
      `${made} it is revoked, give the next another name`,
    );
  } catch (error) {
    const detail = `${made} it cannot be revoked now (${(error as Error).message})`;
    const advice = `Revoke it:\n  ${remedyOf(name, place)}\n`;
    return advised(new VanityError('FILE_NOT_WRITABLE', detail), advice);
  }
}

function remedyOf(name: string, place: Place): string {
  return ['vanitypool', 'token', 'revoke', name, ...wordsOf(place)].map(quoted).join(' ');
}

async function list(args: string[], outputs: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'token list',
    options: TOKEN_OPTIONS.list,
    siblings: TOKEN_OPTIONS,
  });
  const tokens = await tokensAt(values, outputs);
  const text = values.json
    ? `${JSON.stringify({ tokens })}\n`
    : formatTable([HEADINGS, ...tokens.map((view) => row(view, Date.now()))], HEADINGS.length);
  await outputs.print(text);
  return 0;
}

function tokensAt(place: Place, outputs: Outputs): Promise<TokenView[]> {
  return askOrLook(
    place,
    (server) => server.ask(({ admin }) => admin.tokens()),
    async (config) => {
      const { withTokensOffline } = await import('../offline/tokens.ts');
      const stored = await withTokensOffline(config, (all) => all.all());
      return Promise.all(stored.map(viewOf));
    },
    outputs,
  );
}

async function revoke(args: string[], outputs: Outputs): Promise<number> {
  const { values, positionals } = readArguments(args, {
    command: 'token revoke',
    options: TOKEN_OPTIONS.revoke,
    siblings: TOKEN_OPTIONS,
    allowPositionals: true,
  });
  const name = onePositional('token revoke', 'token', positionals);
  const revoked = await revokeToken(name, values, outputs);
  const text = values.json ? JSON.stringify(revoked) : `${name}: revoked ${revoked.revokedAt}`;
  await outputs.print(`${text}\n`);
  return 0;
}

function revokeToken(name: string, place: Place, outputs: Outputs): Promise<TokenView> {
  return askOrLook(
    place,
    (server) => server.ask(({ admin }) => admin.revokeToken(name)),
    async (config) => {
      const { withTokensOffline } = await import('../offline/tokens.ts');
      return viewOf(await withTokensOffline(config, (tokens) => tokens.revoke(name)));
    },
    outputs,
  );
}

/** After a restore of the store, whose tokens are off: one by its name, or all of them. */
async function restore(args: string[], outputs: Outputs): Promise<number> {
  const { values, positionals } = readArguments(args, {
    command: 'token restore',
    options: TOKEN_OPTIONS.restore,
    siblings: TOKEN_OPTIONS,
    allowPositionals: true,
  });
  if (values.all && positionals.length > 0) {
    throw usage('token restore: the name of a token, or --all, not both');
  }
  const names = values.all
    ? (await tokensAt(values, outputs)).filter(isOff).map(({ name }) => name)
    : [onePositional('token restore', 'token', positionals)];
  const restored: TokenView[] = [];
  for (const name of names) restored.push(await restoreToken(name, values, outputs));
  const lines = restored.map((view) => `${view.name}: ${stateOf(view, Date.now())}\n`);
  const all = values.json ? `${JSON.stringify({ tokens: restored })}\n` : lines.join('');
  await outputs.print(all || 'no token is off\n');
  return 0;
}

function isOff({ offAt, revokedAt, isForged }: TokenView): boolean {
  return offAt !== null && revokedAt === null && !isForged;
}

function restoreToken(name: string, place: Place, outputs: Outputs): Promise<TokenView> {
  return askOrLook(
    place,
    (server) => server.ask(({ admin }) => admin.restoreToken(name)),
    async (config) => {
      const { withTokensOffline } = await import('../offline/tokens.ts');
      return viewOf(await withTokensOffline(config, (tokens) => tokens.restore(name)));
    },
    outputs,
  );
}

async function viewOf(token: StoredToken): Promise<TokenView> {
  const { tokenView } = await import('../api/views.ts');
  return tokenView(token);
}

function row(view: TokenView, now: number): string[] {
  const { name, scopes, pools, quota, expiresAt, lastUsedAt } = view;
  return [
    name,
    scopes.join(' '),
    pools?.join(' ') ?? 'all',
    quota === null ? 'any' : `${quota}/day`,
    expiresAt ?? 'never',
    lastUsedAt ?? 'never',
    stateOf(view, now),
  ];
}

function stateOf(view: TokenView, now: number): string {
  const { expiresAt, revokedAt, isForged } = view;
  if (isForged) return 'forged';
  if (revokedAt !== null) return 'revoked';
  if (isOff(view)) return 'off';
  return expiresAt !== null && Date.parse(expiresAt) <= now ? 'expired' : 'valid';
}

function readName(name: string | undefined): string {
  if (name !== undefined && NAME.test(name)) return name;
  const what = name === undefined ? 'is missing' : `${JSON.stringify(name)} is not allowed`;
  throw usage(`--name: ${what}; allowed: 1 to 63 letters, digits, ".", "_" and "-"`);
}

function readScopes(given: readonly string[]): Scope[] {
  const scopes = [...new Set(given)];
  const unknown = scopes.find((scope) => !SCOPES.includes(scope as Scope));
  if (scopes.length > 0 && unknown === undefined) return scopes as Scope[];
  const what = unknown === undefined ? 'missing' : `${JSON.stringify(unknown)} is not allowed`;
  throw usage(`--scope: ${what}; allowed: ${SCOPES.join(', ')}`);
}

/** Addresses a day. */
export function readQuota(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const count = Number(/^(\d{1,15})\/day$/.exec(text)?.[1] ?? 0);
  if (count >= 1) return count;
  throw usage(
    `--quota: ${JSON.stringify(text)} is not allowed; allowed: a number a day: 10000/day`,
  );
}

/** Milliseconds since 1970. */
export function readExpiry(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const [, count, unit] = /^(\d{1,5})([hd])$/.exec(text) ?? [];
  const span = count === undefined ? Number.NaN : Number(count) * SPAN_MS[unit as 'h' | 'd'];
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text);
  const at = isTime ? Date.parse(text) : now + span;
  if (at > now) return at;
  const allowed = 'hours, days or a time to come: 12h, 90d, 2027-01-31T00:00:00Z';
  throw usage(`--expires: ${JSON.stringify(text)} is not allowed; allowed: ${allowed}`);
}
