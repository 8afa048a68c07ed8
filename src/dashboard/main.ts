/**
 * The dashboard: the status of the server as it changes. Runs in a browser, and uses the API like any other
 * client: with the client library, and a token if the server asks for one.
 */
import { VanitypoolClient, VanitypoolError } from '../client/client.ts';
import type { StatusEvent } from '../client/replies.ts';
import { byId, element, setText } from './element.ts';
import { PoolCard } from './pool-card.ts';
import { Session } from './session.ts';

/** Where the server is, from where this file is: also behind a path of a proxy. */
const SERVER = new URL('../..', import.meta.url);
/** The status comes once a second. */
const SILENCE_MS = 3000;
const AGAIN_MS = 1000;
const HISTORY_MS = 30_000;
const REFUSALS = ['TOKEN_REQUIRED', 'SCOPE_REQUIRED'];

const [health, reasons, stale] = ['health', 'reasons', 'stale'].map((id) => byId(id)) as [
  HTMLElement,
  HTMLElement,
  HTMLElement,
];
const form = byId<HTMLFormElement>('token-form');
const input = byId<HTMLInputElement>('token');
const status = byId('status');
const cards = new Map<string, PoolCard>();
const session = new Session(() =>
  ask('Nobody touched the page for 15 minutes: type the token again.'),
);
let watching = new AbortController();
let seenAt: Date | undefined;

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const token = input.value.trim();
  input.value = '';
  start(token === '' ? undefined : token);
});
start(undefined);

function start(token: string | undefined): void {
  watching.abort();
  watching = new AbortController();
  session.token = token;
  setText(byId('refusal'), '');
  const { signal } = watching;
  try {
    const client = new VanitypoolClient({ url: SERVER, token, retries: 0 });
    void watch(client, signal);
    void keepHistory(client, signal);
  } catch {
    ask('A token is printable ASCII, without spaces.');
  }
}

/** Forgets all that a token showed, and asks for one. */
function ask(why: string): void {
  watching.abort();
  session.token = undefined;
  seenAt = undefined;
  cards.clear();
  byId('pools').replaceChildren();
  byId('threads').replaceChildren();
  setText(health, '');
  setText(reasons, '');
  status.hidden = true;
  stale.hidden = true;
  form.hidden = false;
  setText(byId('refusal'), why);
  input.focus();
}

async function watch(client: VanitypoolClient, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const event of client.events({ signal, silenceMs: SILENCE_MS })) show(event);
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
async function keepHistory(client: VanitypoolClient, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const { pools } = await client.history({ signal }).catch(() => ({ pools: [] }));
    if (signal.aborted) return;
    for (const { name, ...history } of pools) cards.get(name)?.setHistory(history);
    await pause(pools.some(({ name }) => cards.has(name)) ? HISTORY_MS : AGAIN_MS);
  }
}

function show({ pools, grinder, readiness }: StatusEvent): void {
  seenAt = new Date();
  stale.hidden = true;
  form.hidden = true;
  status.hidden = false;
  document.body.classList.remove('is-stale');
  health.dataset.status = readiness.status;
  setText(health, readiness.status);
  setText(reasons, readiness.reasons.join(', '));
  const list = byId('pools');
  const names = new Set(pools.map(({ name }) => name));
  for (const [name, card] of cards) {
    if (names.has(name)) continue;
    card.article.remove();
    cards.delete(name);
  }
  for (const pool of pools) {
    let card = cards.get(pool.name);
    if (card === undefined) {
      card = new PoolCard(pool);
      cards.set(pool.name, card);
      list.append(card.article);
    }
    card.show(pool);
  }
  byId('grinder').hidden = grinder === undefined;
  const threads = (grinder?.threads ?? []).map(({ priority, share }, index) => {
    const got = share === null ? 'no work' : `${Math.round(share * 100)} % of a core`;
    return `Thread ${index + 1}: ${priority}, ${got}`;
  });
  const shown = byId('threads');
  while (shown.children.length > threads.length) shown.lastElementChild!.remove();
  while (shown.children.length < threads.length) shown.append(element('li'));
  for (const [index, text] of threads.entries()) setText(shown.children[index]!, text);
}

function showStale(why: string): void {
  document.body.classList.add('is-stale');
  const since =
    seenAt === undefined ? 'No status yet' : `Stale since ${seenAt.toLocaleTimeString()}`;
  setText(stale, `${since}: ${why}. Trying again.`);
  stale.hidden = false;
}

function unknownError(error: unknown): { code: string; detail: string } {
  return { code: 'UNREACHABLE', detail: error instanceof Error ? error.message : 'it failed' };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
