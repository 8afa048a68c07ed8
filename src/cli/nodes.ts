/** `vanitypool nodes list | enrol | retire`: in the database, beside whatever runs, and also where no server can start. */
import { createInterface } from 'node:readline';
import type { NodesView, NodeView } from '../api/nodes.ts';
import type { Config } from '../config/config.ts';
import type { Loss, StoreNodes } from '../store/node-store.ts';
import { onePositional, readArguments, readVerb } from './arguments.ts';
import { NODES_OPTIONS } from './command-options.ts';
import { formatCount, formatRate, formatTable } from './format.ts';
import { usage } from './options.ts';
import { configAt } from './or-store.ts';
import type { Outputs, Screen } from './output.ts';

const VERBS = Object.keys(NODES_OPTIONS) as (keyof typeof NODES_OPTIONS)[];
const HEADINGS = ['id', 'name', 'role', 'state', 'last seen', 'leased', 'grinding'];
const ID_DIGITS = 32;

const REMEDY = `Start them. For each that does not come back, type
  vanitypool nodes retire ID --lost-nothing   if every commit of it is in the database
  vanitypool nodes retire ID --burn           if nobody knows: burns all that is available
`;

export async function nodes(args: string[], outputs: Outputs): Promise<number> {
  const isBare = args[0] === undefined || args[0].startsWith('-');
  const [verb, rest] = readVerb('nodes', isBare ? ['list', ...args] : args, VERBS);
  if (verb === 'list') return list(rest, outputs);
  return verb === 'enrol' ? enrol(rest, outputs) : retire(rest, outputs);
}

async function list(args: string[], { print }: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'nodes list',
    options: NODES_OPTIONS.list,
    siblings: NODES_OPTIONS,
  });
  const view = await nodesAt(configAt(values));
  await print(values.json ? `${JSON.stringify(view)}\n` : tableOf(view) + waitingFor(view));
  return 0;
}

async function enrol(args: string[], { print }: Outputs): Promise<number> {
  const { values, positionals } = readArguments(args, {
    command: 'nodes enrol',
    options: NODES_OPTIONS.enrol,
    siblings: NODES_OPTIONS,
    allowPositionals: true,
  });
  const id = readDigits('ID', onePositional('nodes enrol', 'node', positionals), ID_DIGITS);
  const key = readDigits('--key', values.key, 64);
  const { enrolNodeOffline } = await import('../offline/nodes.ts');
  const { name } = await enrolNodeOffline(configAt(values), id, Buffer.from(key, 'hex'));
  await print(
    values.json
      ? `${JSON.stringify({ id, name, key })}\n`
      : `enrolled: node ${id} on ${name}, with the key ${key}\nStart it again now.\n`,
  );
  return 0;
}

async function retire(args: string[], { print, stderr }: Outputs): Promise<number> {
  const { values, positionals } = readArguments(args, {
    command: 'nodes retire',
    options: NODES_OPTIONS.retire,
    siblings: NODES_OPTIONS,
    allowPositionals: true,
  });
  const { gone, yes, json } = values;
  const loss = readLoss(values['lost-nothing'], values.burn);
  if (gone && positionals.length > 0) {
    throw usage('nodes retire: the id of a node, or --gone, not both');
  }
  const named = gone
    ? undefined
    : readDigits('ID', onePositional('nodes retire', 'node', positionals), ID_DIGITS);
  const config = configAt(values);
  const { retireOffline } = await import('../offline/nodes.ts');
  const before = await nodesAt(config);
  const ids = named === undefined ? before.nodes.filter(isGone).map(({ id }) => id) : [named];
  if (named === undefined && ids.length > 0 && !yes) await confirm(before, loss, stderr);
  const after = await viewOf(await retireOffline(config, ids, loss));
  if (json) {
    await print(`${JSON.stringify({ retired: ids, ...after })}\n`);
    return 0;
  }
  const lines = after.nodes.flatMap(({ id, name }) =>
    ids.includes(id) ? [`retired: node ${id} on ${name}\n`] : [],
  );
  await print((lines.join('') || 'no node is gone\n') + waitingFor(after));
  return 0;
}

async function nodesAt(config: Config): Promise<NodesView> {
  const { nodesOffline } = await import('../offline/nodes.ts');
  return viewOf(await nodesOffline(config));
}

async function viewOf(found: StoreNodes): Promise<NodesView> {
  const { nodesView } = await import('../api/views.ts');
  return nodesView(found);
}

/** Is waited for, or was given up, and is not heard of now. */
function isGone({ state, isHeard }: NodeView): boolean {
  return (state === 'missed' || state === 'lost') && !isHeard;
}

function tableOf({ nodes: all }: NodesView): string {
  return formatTable([HEADINGS, ...all.map(row)], 5);
}

function row({ id, name, role, state, lastSeenAt, leased, attemptsPerSecond }: NodeView): string[] {
  const rate = attemptsPerSecond === 0 ? '-' : formatRate(attemptsPerSecond);
  return [id, name, role ?? '-', state, lastSeenAt ?? 'never', formatCount(leased), rate];
}

/** What keeps the store from leasing, and what to type. */
function waitingFor({ state, nodes: all }: NodesView): string {
  if (state === 'sound') return '';
  const what = state === 'lost' ? 'has gone' : 'may have gone';
  const missed = all.filter((node) => node.state === 'missed').map(lineOf);
  const head = `\nThe database ${what} back in time, and nothing is leased until`;
  if (missed.length === 0) return `${head} a node starts.\n`;
  return `${head} these nodes have said what they did:\n${missed.join('')}${REMEDY}`;
}

function lineOf({ id, name }: NodeView): string {
  return `  ${id} on ${name}\n`;
}

/** Asks once. Errors: USAGE_INVALID without a terminal, and for any other answer. */
async function confirm({ nodes: all }: NodesView, loss: Loss, stderr: Screen): Promise<void> {
  if (!process.stdin.isTTY) {
    throw usage('nodes retire --gone: there is no terminal to ask on; add --yes to retire them');
  }
  const what =
    loss === 'burn'
      ? 'burn all that is available'
      : 'every commit of them is in the database, you say';
  stderr.write(`These nodes are gone:\n${all.filter(isGone).map(lineOf).join('')}`);
  stderr.write(`Retire them (${what})? Type yes: `);
  if ((await typedLine()) === 'yes') return;
  throw usage('nodes retire --gone: not confirmed; nothing was done');
}

/** Empty where the input ends. */
async function typedLine(): Promise<string> {
  const lines = createInterface({ input: process.stdin, terminal: false });
  const line = await new Promise<string>((resolve) => {
    lines.once('line', resolve).once('close', () => resolve(''));
  });
  lines.close();
  return line.trim();
}

function readLoss(isNothing: boolean | undefined, isBurned: boolean | undefined): Loss {
  if (isNothing !== isBurned && (isNothing || isBurned)) return isNothing ? 'lost-nothing' : 'burn';
  throw usage('nodes retire: what was lost with it? give one of --lost-nothing, --burn');
}

/** As the start of a node says them. */
function readDigits(what: string, text: string | undefined, count: number): string {
  if (text?.length === count && /^[0-9a-f]+$/.test(text)) return text;
  const given = text === undefined ? 'is missing' : `${JSON.stringify(text)} is not allowed`;
  throw usage(`${what}: ${given}; allowed: ${count} hexadecimal digits, as the node says them`);
}
