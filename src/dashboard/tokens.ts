/** The tokens of the server, for an admin of all pools: which there are, a new one, and their end. */
import type { NewTokenBody, TokenView } from '../client/replies.ts';
import { type Actor, Outcome, wordsOf } from './actor.ts';
import { button, byId, element, setText } from './element.ts';

type Scope = NewTokenBody['scopes'][number];

const FIRST =
  'This is the first token. From then on every caller needs one: programs that send none are refused.';

export class Tokens {
  readonly #section = byId('tokens-section');
  readonly #table = byId('tokens-table');
  readonly #rows = byId('tokens');
  readonly #note = byId('tokens-note');
  readonly #first = byId('first-token');
  readonly #form = byId<HTMLFormElement>('new-token');
  readonly #made = byId('made-token');
  readonly #outcome = new Outcome();
  readonly #onMade: () => void;
  #actor: Actor | undefined;

  /** `onMade`: what a token may may have changed. */
  constructor(onMade: () => void) {
    this.#onMade = onMade;
    this.#section.append(this.#outcome.line);
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#make();
    });
  }

  setActor(actor: Actor | undefined): void {
    const isNew = actor?.client !== this.#actor?.client;
    this.#actor = actor;
    this.#section.hidden = actor === undefined;
    setText(this.#first, actor?.access.requiredAfterFirst ? FIRST : '');
    this.#first.hidden = !actor?.access.requiredAfterFirst;
    if (!isNew) return;
    this.#form.reset();
    this.#outcome.say('');
    this.#made.replaceChildren();
    this.#rows.replaceChildren();
    if (actor !== undefined) void this.list();
  }

  async list(): Promise<void> {
    const actor = this.#actor;
    if (actor === undefined) return;
    try {
      const tokens = await actor.client.admin.tokens();
      if (this.#actor?.client !== actor.client) return;
      const used = tokens.filter(({ revokedAt }) => revokedAt === null);
      this.#rows.replaceChildren(...used.map((token) => this.#row(token)));
      this.#table.hidden = used.length === 0;
      const none = used.length === 0 ? 'There is none. ' : '';
      const gone = tokens.length - used.length;
      setText(this.#note, none + (gone === 0 ? '' : `${gone} revoked.`));
    } catch (error) {
      this.#outcome.say(wordsOf(error), true);
    }
  }

  #row({
    name,
    scopes,
    pools,
    quota,
    lastUsedAt,
    expiresAt,
    offAt,
    isForged,
  }: TokenView): HTMLElement {
    const end = element('td', { class: 'buttons' });
    const ask = button('Revoke', () => {
      const sure = button(`Revoke ${name} for ever`, () => this.#revoke(name));
      const keep = button('Keep', () => {
        end.replaceChildren(ask);
        ask.focus();
      });
      end.replaceChildren(sure, keep);
      keep.focus();
    });
    ask.ariaLabel = `Revoke ${name}`;
    end.append(ask);
    const states = [
      isForged ? 'refused: not written by the server' : '',
      offAt === null ? '' : 'off since a restore',
      expiresAt === null ? '' : `until ${new Date(expiresAt).toLocaleString()}`,
      quota === null ? '' : `${quota} a day`,
    ].filter((text) => text !== '');
    const used = lastUsedAt === null ? 'never' : new Date(lastUsedAt).toLocaleString();
    const cells = [scopes.join(', '), pools?.join(', ') ?? 'all', states.join(', '), used];
    return element(
      'tr',
      {},
      element('th', { scope: 'row' }, name),
      ...cells.map((text) => element('td', {}, text)),
      end,
    );
  }

  #make(): void {
    const actor = this.#actor;
    if (actor === undefined) return;
    const data = new FormData(this.#form);
    const text = (name: string) => String(data.get(name) ?? '').trim();
    const pools = text('pools')
      .split(/[\s,]+/)
      .filter((name) => name !== '');
    const name = text('name');
    void this.#outcome.run(async () => {
      const scopes = data.getAll('scopes').map(String) as Scope[];
      if (scopes.length === 0) throw new Error('choose at least one scope');
      const { token, warning } = await actor.client.admin.createToken({
        name,
        scopes,
        pools: pools.length === 0 ? null : pools,
        quota: text('quota') === '' ? null : Number(text('quota')),
      });
      // Somebody else may use the page by now.
      if (this.#actor?.client !== actor.client) return '';
      this.#form.reset();
      this.#show(name, token);
      void this.list();
      this.#onMade();
      return warning === null ? '' : `Note: ${warning}.`;
    });
  }

  /** The only time. */
  #show(name: string, token: string): void {
    const shown = element('output', { class: 'secret', id: 'new-token-text', tabindex: 0 }, token);
    const copied = element('span', { role: 'status' });
    const copy = button('Copy', () => {
      navigator.clipboard.writeText(token).then(
        () => setText(copied, 'Copied.'),
        () => getSelection()?.selectAllChildren(shown),
      );
    });
    const done = button('Done', () => {
      this.#made.replaceChildren();
      this.#form.querySelector('input')?.focus();
    });
    const words = `The token ${name}. It is shown only now: keep it, nobody can look it up.`;
    this.#made.replaceChildren(element('p', {}, words), shown, copy, done, copied);
    shown.focus();
  }

  #revoke(name: string): void {
    const actor = this.#actor;
    if (actor === undefined) return;
    void this.#outcome.run(async () => {
      await actor.client.admin.revokeToken(name);
      void this.list();
      return `The token ${name} is revoked.`;
    });
  }
}
