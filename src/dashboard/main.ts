/**
 * The dashboard: the status of the server as it changes, and what an admin may do. Runs in a browser, and uses the
 * API like any other client: with the client library, and a token if the server asks for one or somebody wants to act.
 */
import { VanitypoolClient, VanitypoolError } from '../client/client.ts';
import type { PoolView, StatusEvent } from '../client/replies.ts';
import { type Actor, mayManage, mayManageAll } from './actor.ts';
import { Oversight, showGrinder } from './beside.ts';
import { byId, setText } from './element.ts';
import {
  answer,
  duration,
  type FullRates,
  type Outlook,
  outlook,
  UNKNOWN_RATES,
} from './figures.ts';
import { NewPool } from './new-pool.ts';
import { type ChartSpan, PoolCard } from './pool-card.ts';
import { Session } from './session.ts';
import { Tokens } from './tokens.ts';

/** Where the server is, from where this file is: also behind a path of a proxy. */
const SERVER = new URL('..', import.meta.url);
/** The status comes once a second. */
const SILENCE_MS = 3000;
const AGAIN_MS = 1000;
const HISTORY_MS = 30_000;
const REFUSALS = ['TOKEN_REQUIRED', 'SCOPE_REQUIRED'];
const IDLE = 'Nobody touched the page for 15 minutes: the token is forgotten.';

const [health, reasons, live] = ['health', 'reasons', 'live'].map((id) => byId(id)) as [
  HTMLElement,
  HTMLElement,
  HTMLElement,
];
const form = byId<HTMLFormElement>('token-form');
const input = byId<HTMLInputElement>('token');
const status = byId('status');
const signIn = byId('sign-in');
const signOut = byId('sign-out');
const cards = new Map<string, PoolCard>();
const outlooks = new Map<string, Outlook>();
const session = new Session(() => start(undefined, IDLE));
const newPool = new NewPool(showPool);
const tokens = new Tokens(() => void learn());
const oversight = new Oversight();

let watching = new AbortController();
let client: VanitypoolClient | undefined;
let actor: Actor | undefined;
let seenAt: Date | undefined;
let fullRates: FullRates = UNKNOWN_RATES;
let span: ChartSpan = 'hour';

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const token = input.value.trim();
  input.value = '';
  if (token !== '') start(token);
});
signIn.addEventListener('click', () => {
  form.hidden = !form.hidden;
  if (!form.hidden) input.focus();
});
byId('span').addEventListener('change', ({ target }) => {
  span = (target as HTMLInputElement).value as ChartSpan;
  for (const card of cards.values()) card.setSpan(span);
});
signOut.addEventListener('click', () => start(undefined));
start(undefined);

/** With this token from now on. Forgets what another one showed. */
function start(token: string | undefined, why = ''): void {
  watching.abort();
  watching = new AbortController();
  session.token = token;
  forget();
  setText(byId('refusal'), why);
  const { signal } = watching;
  try {
    client = new VanitypoolClient({ url: SERVER, token, retries: 0 });
  } catch {
    ask('A token is printable ASCII, without spaces.');
    return;
  }
  void watch(client, signal);
  void keepHistory(client, signal);
  void learn();
}

/** Shows nothing but the question for a token. */
function ask(why: string): void {
  watching.abort();
  session.token = undefined;
  client = undefined;
  forget();
  status.hidden = true;
  form.hidden = false;
  signIn.hidden = true;
  if (why !== '') setText(byId('refusal'), why);
  input.focus();
}

function forget(): void {
  seenAt = undefined;
  cards.clear();
  outlooks.clear();
  byId('pools').replaceChildren();
  showGrinder(undefined);
  setActor(undefined);
  for (const where of [health, reasons, live, byId('answer'), byId('version')]) setText(where, '');
  delete health.dataset.status;
  live.hidden = true;
}

/** What the token may do. */
async function learn(): Promise<void> {
  const asked = client;
  if (asked === undefined) return;
  const access = await asked.access().catch(() => undefined);
  const running = await asked.health().catch(() => undefined);
  if (client !== asked || access === undefined) return;
  setActor(access.token === null ? undefined : { client: asked, access });
  if (running !== undefined) setText(byId('version'), `vanitypool ${running.version}`);
}

function setActor(now: Actor | undefined): void {
  actor = now;
  const isIn = session.token !== undefined;
  signIn.hidden = isIn;
  signOut.hidden = !isIn;
  setText(byId('who'), now?.access.token?.name ?? '');
  for (const card of cards.values()) card.setActor(now);
  const all = mayManageAll(now) ? now : undefined;
  newPool.setActor(mayManage(now) ? now : undefined);
  tokens.setActor(all);
  oversight.setActor(all);
}

async function watch(from: VanitypoolClient, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const event of from.events({ signal, silenceMs: SILENCE_MS })) show(event);
    } catch (error) {
      if (signal.aborted) return;
      const { code, detail } = error instanceof VanitypoolError ? error : unknownError(error);
      if (REFUSALS.includes(code)) return ask(session.token === undefined ? '' : detail);
      showStale(detail);
    }
    await pause(AGAIN_MS);
  }
}

/** What goes wrong here goes wrong with the status too, which says so. */
async function keepHistory(from: VanitypoolClient, signal: AbortSignal): Promise<void> {
  for (let askedAt = Number.NEGATIVE_INFINITY; !signal.aborted; ) {
    const now = performance.now();
    if (now - askedAt >= HISTORY_MS || [...cards.values()].some(({ hasHistory }) => !hasHistory)) {
      askedAt = now;
      const { pools } = await from.history({ signal }).catch(() => ({ pools: [] }));
      if (signal.aborted) return;
      for (const { name, ...history } of pools) cards.get(name)?.setHistory(history);
    }
    await pause(AGAIN_MS);
  }
}

function show({ pools, grinder, nodes, readiness, uptimeMs }: StatusEvent): void {
  // What the token may is another question after a break: the server may have been another meanwhile.
  if (document.body.classList.contains('is-stale')) void learn();
  seenAt = new Date();
  if (session.token !== undefined || status.hidden) form.hidden = true;
  status.hidden = false;
  document.body.classList.remove('is-stale');
  live.hidden = false;
  live.role = 'status';
  setText(live, 'Live');
  health.dataset.status = readiness.status;
  setText(health, readiness.status);
  setText(reasons, readiness.reasons.join(', '));
  setText(byId('uptime'), `up ${duration(uptimeMs / 1000)}`);
  fullRates = grinder?.fullAttemptsPerSecond ?? UNKNOWN_RATES;
  newPool.setRates(fullRates);
  const names = new Set(pools.map(({ name }) => name));
  for (const [name, card] of cards) {
    if (names.has(name)) continue;
    card.article.remove();
    cards.delete(name);
    outlooks.delete(name);
  }
  for (const pool of pools) showPool(pool);
  showGrinder(grinder);
  oversight.setNodes(nodes !== undefined);
  const { text, isGood } = answer(outlooks);
  setText(byId('answer'), text);
  byId('answer').classList.toggle('bad', !isGood);
}

function showPool(pool: PoolView): void {
  const { name } = pool;
  const seen = outlook(pool, fullRates);
  outlooks.set(name, seen);
  let card = cards.get(name);
  if (card === undefined) {
    card = new PoolCard(pool, showPool);
    cards.set(name, card);
    card.setActor(actor);
    card.setSpan(span);
    byId('pools').append(card.article);
  }
  card.show(pool, seen);
}

function showStale(why: string): void {
  document.body.classList.add('is-stale');
  const since =
    seenAt === undefined ? 'No status yet' : `Stale since ${seenAt.toLocaleTimeString()}`;
  live.hidden = false;
  live.role = 'alert';
  if (health.dataset.status !== undefined) {
    setText(reasons, `it was ${health.textContent}`);
    setText(health, 'unknown');
    delete health.dataset.status;
  }
  setText(live, `${since}: ${why}. Trying again.`);
}

function unknownError(error: unknown): { code: string; detail: string } {
  return { code: 'UNREACHABLE', detail: error instanceof Error ? error.message : 'it failed' };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
