/** What is shown beside the pools: the grinder, and for an admin of all pools the nodes, the warnings and who took how many. */
import type { NodesView, StatusEvent } from '../client/replies.ts';
import type { Actor } from './actor.ts';
import { byId, element, setRows, setText, tableRow } from './element.ts';
import { exact } from './figures.ts';

const LOOK_MS = 10_000;
const WARNINGS_SHOWN = 10;
const INSTRUCTIONS = {
  js: 'JavaScript, hundreds of times slower than native code',
  portable: 'portable C',
  avx2: 'AVX2',
  avx512: 'AVX-512',
} as const;

export function showGrinder(grinder: StatusEvent['grinder']): void {
  byId('grinder').hidden = grinder === undefined;
  const { threads = [], instructions = null, fullAttemptsPerSecond } = grinder ?? {};
  const kernel = instructions === null ? 'not loaded yet' : INSTRUCTIONS[instructions];
  const { seed = null, expanded = null } = fullAttemptsPerSecond ?? {};
  const rates = [rateOf('seed', seed), rateOf('expanded', expanded)].join('');
  setText(byId('kernel'), threads.length === 0 ? 'Off.' : `Instructions: ${kernel}${rates}.`);
  byId('threads-table').hidden = threads.length === 0;
  const rows = threads.map(({ priority, share, attemptsPerSecond }, index) => [
    String(index + 1),
    priority,
    attemptsPerSecond === null ? 'no work' : exact(attemptsPerSecond),
    share === null ? 'no work' : `${Math.round(share * 100)} %`,
  ]);
  setRows(byId('threads'), rows, tableRow);
}

function rateOf(keys: string, attemptsPerSecond: number | null): string {
  if (attemptsPerSecond === null) return '';
  return `; with all threads ${exact(attemptsPerSecond)} attempts a second for ${keys} keys`;
}

/** Asks again every ten seconds while somebody looks. */
export class Oversight {
  readonly #section = byId('oversight');
  #actor: Actor | undefined;
  #areNodes = false;

  constructor() {
    // Where the page is narrow it is scrolled, also by keys.
    Object.assign(byId('nodes-scroll'), { tabIndex: 0, role: 'group', ariaLabel: 'Nodes' });
    setInterval(() => void this.#look(), LOOK_MS);
    document.addEventListener('visibilitychange', () => void this.#look());
  }

  /** Whether others share the store. */
  setNodes(areNodes: boolean): void {
    if (areNodes === this.#areNodes) return;
    this.#areNodes = areNodes;
    byId('nodes-section').hidden = !areNodes;
    void this.#look();
  }

  setActor(actor: Actor | undefined): void {
    this.#actor = actor;
    this.#section.hidden = actor === undefined;
    if (actor !== undefined) return void this.#look();
    byId('takers').replaceChildren();
    byId('warnings').replaceChildren();
    byId('nodes').replaceChildren();
  }

  async #look(): Promise<void> {
    const actor = this.#actor;
    if (actor === undefined || document.hidden) return;
    const { admin } = actor.client;
    // The stream of the status says what is wrong with the connection.
    const [taken, warned, nodes] = await Promise.allSettled([
      admin.takers(),
      admin.warnings(),
      this.#areNodes ? admin.nodes() : undefined,
    ]);
    if (this.#actor?.client !== actor.client) return;
    if (taken.status === 'fulfilled') {
      const { takers } = taken.value;
      const rows = takers.map(({ token, addresses }) => [
        token ?? 'without a token',
        exact(addresses),
      ]);
      setRows(byId('takers'), rows, tableRow);
      setText(byId('takers-note'), rows.length === 0 ? 'Nobody took any.' : '');
      byId('takers-table').hidden = rows.length === 0;
    }
    if (nodes.status === 'fulfilled' && nodes.value !== undefined) showNodes(nodes.value);
    if (warned.status === 'fulfilled') {
      const rows = warned.value.slice(0, WARNINGS_SHOWN).map(({ at, level, message, details }) => {
        return [new Date(at).toLocaleString(), level, message, details];
      });
      setRows(byId('warnings'), rows, warningRow);
      setText(byId('warnings-note'), rows.length === 0 ? 'None since the start.' : '');
    }
  }
}

function showNodes({ state, nodes }: NodesView): void {
  const rows = nodes
    .filter(({ retiredAt }) => retiredAt === null)
    .map((node) => [
      node.name,
      node.role ?? 'none yet',
      node.state,
      node.lastSeenAt === null ? 'never' : seen(new Date(node.lastSeenAt)),
      exact(node.leased),
      exact(node.attemptsPerSecond),
    ]);
  setRows(byId('nodes'), rows, tableRow);
  const missed =
    'The database may have gone back in time: nothing is leased until the nodes that are missed have said what ' +
    'they did. Start them, or type "vanitypool nodes" for those that do not come back.';
  setText(byId('nodes-note'), state === 'sound' ? '' : missed);
}

/** The time of today, or the day. */
function seen(at: Date): string {
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? at.toLocaleTimeString() : at.toLocaleDateString();
}

function warningRow(): HTMLElement {
  const parts = ['time', 'level', 'message', 'details'].map((name) => {
    return element('span', { class: name });
  });
  return element('li', {}, ...parts);
}
