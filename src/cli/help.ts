/**
 * What each command is for and which flags it takes, for people. Pure data: `--help` loads no
 * command. A flag is known if it is listed here. A test checks the list against what the commands
 * take.
 */
import { COUNT_MAX, POOL_SETTINGS } from '../config/pool-settings.ts';
import { exportHelp, grindHelp, importHelp, VERIFY_HELP } from './file-help.ts';
import { keyHelp } from './key-help.ts';
import { NODES_HELP } from './nodes-help.ts';
import { flagLines, poolHelp } from './pool-help.ts';

export interface CommandHelp {
  /** One line of the overview. */
  readonly summary: string;
  readonly text: string;
}

const PLACE_HELP = `  --url URL          ask the server at http[s]://HOST:PORT or unix:PATH. A certificate of your own
                     making is trusted with NODE_EXTRA_CA_CERTS=FILE
  --config FILE      read this file (default: vanitypool.toml, if it is there; /dev/null: none)
  --data DIR         the data directory (default: ./data): without --url the command asks its
                     server, wherever that listens`;

const { suffix, prefix, ignoreCase } = POOL_SETTINGS;
const PATTERN_HELP = flagLines({ suffix, prefix, ignoreCase });

const PATTERN_NOTE = `A pattern is letters and digits of base58 (no 0, O, I, l) and classes: [a-z]Pet, [1-9A-F]x.
Quote it, because the shell reads brackets too. Each additional letter takes 58 times as long.`;

export const HELP = {
  serve: {
    summary: 'run the server: grind ahead, keep the pools full, hand addresses out',
    text: `usage: vanitypool serve [options]

Runs the server until Ctrl-C. Without a configuration there is one pool, "pet", of addresses that
end in [a-z]Pet; it listens on http://127.0.0.1:5057 and keeps its data in ./data.

  --config FILE      read this file (default: vanitypool.toml, if it is there; /dev/null: none)
  --host HOST        listen on this address, or on unix:PATH (default: 127.0.0.1)
  --port PORT        listen on this port (default: 5057)
  --data DIR         keep the data here (default: ./data)
  --threads N        grind with N threads; 0 grinds nothing (default: all cores, or what a CPU
                     quota leaves after one for requests)
  --log-level LEVEL  debug, info, warn, error or silent (default: info)

A flag overrides the environment (VANITYPOOL_HTTP__PORT=5057), which overrides the file.
Take an address:  curl -XPOST http://127.0.0.1:5057/v1/pools/pet/dispense
`,
  },
  grind: {
    summary: 'search for addresses now and write their keypair files',
    text: grindHelp(PATTERN_NOTE),
  },
  estimate: {
    summary: 'show how rare a pattern is and how long this machine takes',
    text: `usage: vanitypool estimate --suffix PATTERN [options]

Computes exactly how many of all keys match, measures for a second how many this machine tries, and
prints how long the search will take. Nothing that it finds is kept.

${PATTERN_HELP}
  --keys KIND        measure seed (default) or expanded keys, as in "grind"
  --threads N        measure with N threads (default: all cores)
  --json             print one JSON object

${PATTERN_NOTE}
Example:  vanitypool estimate --prefix abc --ignore-case
`,
  },
  status: {
    summary: 'show the pools of the running server, or of the store without one',
    text: `usage: vanitypool status [options]

Shows the server that serves the data directory. Without such a server it reads the store in it.
With neither a configuration nor a store it asks http://127.0.0.1:5057. The first line says which
it is. "stock" is what can be taken now. The reasons why addresses were burned are shown if the
store can be read.

${PLACE_HELP}
  --json             print one JSON object
`,
  },
  top: {
    summary: 'watch the pools of the running server, live',
    text: `usage: vanitypool top [options]

Shows the pools in the terminal, refreshed each second, until q or Ctrl-C; exit code 0. For each
pool: what can be taken (stock), how full it is, what was dispensed since it was created and now,
and how fast it fills. A narrow terminal shows fewer columns; no number is cut. It waits for a
server that restarts.

${PLACE_HELP}
  --json             print one JSON object a line, each second; needs no terminal
`,
  },
  dispense: {
    summary: 'take addresses from the running server',
    text: `usage: vanitypool dispense POOL [options]

Takes addresses from the pool POOL, all of them or none. Each is handed out only once: the output
is the only copy of its secret key. Without --url they come from the server of the data directory
or, if none runs, from the store in it. If something fails after they may have left, the error
shows the command that gets the same ones again.

  --count N          take N addresses, at most ${COUNT_MAX} (default: 1)
  --key KEY          an idempotency key of your own, 1 to 255 printable ASCII characters: with the
                     same key, pool and count you get the same addresses again, as long as the
                     store keeps their secrets (store.retention_hours), with a server or without one
${PLACE_HELP}
  --out DIR          write keypair files as "grind" does and print their addresses; without it
                     each address is a line of JSON on standard output, with its secretKey
  --format FORMAT    with --out: json (default), or base58: DIR/<address>.txt, as wallets import it;
                     expanded keys are written as json only
  --json             with --out: a line of JSON for each file, with id, address and path

Example:  vanitypool dispense pet --out keys
`,
  },
  import: {
    summary: 'import keys of any form into a pool that accepts imports',
    text: importHelp(PLACE_HELP),
  },
  export: {
    summary: 'take many addresses out of a pool, as keypair files',
    text: exportHelp(PLACE_HELP),
  },
  verify: {
    summary: 'prove that files hold keys, and show their addresses',
    text: VERIFY_HELP,
  },
  audit: {
    summary: 'list what left the store or was given up, with when, to whom and why',
    text: `usage: vanitypool audit [options]

Lists every address that is dispensed, reserved or burned, in the order of their ids: its time, the
name of the token that it was handed out to, the hash of the idempotency key, how often the server
signed with it, and why it is burned.
It never shows a secret, or an address that may still be handed out. It reads the store in the data
directory, also while a server runs; then what leaves meanwhile may be missing.

  --address ADDRESS  only this address, in whatever state, and what was signed with it
  --pool NAME        of this pool only
  --since TIME       since this day (2026-11-25, UTC) or time (2026-11-25T08:30:00Z)
  --json             one JSON object a line; the last one says whether the list is complete, so
                     that "vanitypool restore --dispensed" accepts it
  --url URL          ask the server there, with a token of the scope admin (VANITYPOOL_TOKEN); its
                     list is never complete
  --config FILE      read this file (default: vanitypool.toml, if it is there; /dev/null: none)
  --data DIR         the data directory (default: ./data)

Without a server, what a crash left open is settled first, as the next start would do.
`,
  },
  backup: {
    summary: 'copy the store into a file, also while a server runs',
    text: `usage: vanitypool backup FILE [options]

Writes the whole store, as it is at one moment, to the new file FILE, readable only by you, and
checks it. A server may run and hand out meanwhile. The sealing key is not in it: without a copy of
that key, kept in another place, a backup cannot be read.

  --url URL          back up the server there, with a token of the scope admin
                     (VANITYPOOL_TOKEN): it makes and checks the backup, and the file is checked
                     again here
  --config FILE      read this file (default: vanitypool.toml, if it is there; /dev/null: none)
  --data DIR         the data directory (default: ./data)

A backup does not know what leaves after it was made: see "vanitypool restore --help".
`,
  },
  restore: {
    summary: 'restore a backup into an empty data directory',
    text: `usage: vanitypool restore FILE [options]

Creates the store from a file of "vanitypool backup". Addresses may have left since the backup was
made, so all remaining ones are burned; history is kept, and the pools are filled again with new
addresses and new ids. Tokens may have been revoked since, so all are off ("vanitypool token
restore"). Addresses of sign-only pools may have signed since, so dispensed ones no longer sign. If
the lost store can still be listed, all of that is known and stays as it was.

  --dispensed LIST   what left the lost store: a file of "vanitypool audit --json", made after its
                     last server has stopped; what is not in it stays available, and tokens that are
                     valid in it stay on
  --ignore-clock     restore also if the clock is behind the backup, because it was wrong then
  --config FILE      read this file (default: vanitypool.toml, if it is there; /dev/null: none)
  --data DIR         the data directory (default: ./data); the sealing key must be there

The lost store must never be served again.
`,
  },
  adopt: {
    summary: 'accept a data directory that was moved, or restored from a copy',
    text: `usage: vanitypool adopt --moved [--from DIR] | --restored [options]

The server refuses a store that was copied, moved or put back: two states of one store would hand
keys out twice. This command says what it is. No server may hold it.

  --moved            it is the only copy, and the newest: keep everything
  --from DIR         with --moved: the old directory. It is refused from then on; without this
                     option, delete it
  --restored         it is a copy, or an older state; addresses may have left since it was made:
                     burn all that it has, and continue with new ids and new addresses; tokens are
                     off, and dispensed addresses no longer sign, as after a restore
  --ignore-clock     with --restored: also if the clock is behind the store, because it was wrong
                     then
  --config FILE      read this file (default: vanitypool.toml, if it is there; /dev/null: none)
  --data DIR         the data directory (default: ./data)
`,
  },
  migrate: {
    summary: 'move the store of a data directory into PostgreSQL',
    text: `usage: vanitypool migrate --to URL [options]

Moves the whole store, with its history, tokens, reservations and signatures, into an empty database
that many servers can share, compares what arrived, and prints what to put into the configuration.
No server may hold the store. What was handed out keeps its id; what is available gets a new one.
Secrets stay sealed to the same sealing key, which every server of the database needs.

  --to URL           postgres://USER@HOST:PORT/DATABASE, with the settings and variables of psql
                     (PGHOST, PGSSLMODE, ...); put a password into PGPASSWORD or ~/.pgpass, as
                     others can read a command line
  --config FILE      read this file (default: vanitypool.toml, if it is there; /dev/null: none)
  --data DIR         the data directory (default: ./data)

If it is interrupted at any moment, type it again. After the move the old store is refused for ever.
A restored backup of it is a store of its own, in which everything available is burned.
`,
  },
  pool: {
    summary: 'create, change, pause and delete pools, also while a server runs',
    text: poolHelp(PLACE_HELP),
  },
  token: {
    summary: 'create, list, revoke and restore tokens: who may ask the server for what',
    text: `usage: vanitypool token create --name NAME --scope SCOPE [options]
       vanitypool token list [--json]
       vanitypool token revoke NAME
       vanitypool token restore NAME | --all

A token is printed once, on standard output, when it is created; only its hash is kept. One that
could not be printed is revoked at once. After the first token the server requires one with every
request; the command says so when it creates it. A revoked token is refused at once. After the
store was restored all tokens are off, because the backup may lack a revocation: "token restore"
switches them on. If a server runs, the command asks it; otherwise it uses the store in the data
directory.

  --name NAME        yours, for lists and the audit; never used a second time
  --scope SCOPE      what it may do: dispense, read or admin; give it several times for several
  --pool POOL        only this pool, which must exist, is visible to it; several times for several
                     (default: all)
  --quota N/day      at most N addresses in a UTC day (default: any number)
  --expires TIME     refused from then on: 90d, 12h or 2027-01-31T00:00:00Z (default: never)
  --all              restore: every token that is off
${PLACE_HELP}
  --json             print JSON

Commands send the token in the environment variable VANITYPOOL_TOKEN, if it is set.
Example:  vanitypool token create --name shop --scope dispense --pool pet --quota 10000/day
`,
  },
  webhook: {
    summary: 'send a test event to the webhooks of the configuration',
    text: `usage: vanitypool webhook test [--config FILE]

Sends a signed event of the type webhook.test to each [[webhooks]] table of the configuration, once,
and prints what each answered. No server is needed. Exits with 1 if one of them does not accept it
with a status from 200 to 299 within 10 s. Only scheme and host of each are shown, never a secret.

  --config FILE      read this file (default: vanitypool.toml, if it is there; /dev/null: none)
`,
  },
  key: {
    summary: 'replace the sealing key, also while a server runs, or show its public half',
    text: keyHelp(PLACE_HELP),
  },
  nodes: {
    summary: 'list the nodes of a database that many share, enrol and retire them',
    text: NODES_HELP,
  },
  bench: {
    summary: 'measure this machine: the kernel, the server, the store',
    text: `usage: vanitypool bench NAME [options]

Measures in a checkout, with its own stores in the directory for temporary files; your pools and
data are not touched. Each takes about a minute, "start", "events", "memory" and "destroy"
two, "idle" three, "cluster" some minutes.

  grind       keys tried a second, at every level of instructions (--trials, --ms, --keys, --suffix,
              --patterns, --length)
  api         latency and throughput of a server, with all cores grinding and without (--seconds)
  durability  a dispense in leased mode, with an idempotency key, and in committed mode (--seconds,
              --requests)
  store       sealed inserts and leases a second (--stored, --directory)
  cluster     the same for nodes on one PostgreSQL, and what the server takes for it (--url,
              --nodes, --batches, --stored)
  ring        the ready queue: pushes and pops a second (--trials, --addresses)
  journal     the record that is written before a reply leaves (--directory)
  start       from the command to the first address (--stored)
  busy        what the grinder gets, and a stop, beside ten busy programs a core (--seconds)
  flood       a dispense beside 300 connections that ask for documents and read nothing (--seconds)
  events      processor time that readers of the event stream cost (--seconds, --streams, --pools)
  memory      resident memory of a server, and bytes per address (--stored)
  destroy     how much destroying secrets delays requests (--seconds, --stored)
  idle        processor time of an idle server with 256 full pools (--seconds)
  sign        processor time of a signature, by a seed and by an expanded key

  --json             print one JSON object, with machine and commit
  --rounds N         all but grind and ring: the median of N rounds counts
  --trials N         grind, ring: the median of N processes for each row counts
  --seconds N        api, durability, busy, flood, events, destroy: each load lasts N seconds
                     (default: 2; busy, events: 4); idle: a measurement (default: 20)
  --requests N       durability: a throughput is that of N requests, in committed mode of a
                     fifth (default: 10000)
  --stored N         the large one of two stores holds N addresses; destroy: N are due
                     (default: 1000000); cluster: for each of these numbers of addresses
                     (default: 1000,100000)
  --addresses N      ring: in each of 5 rounds of a process (default: 524288)
  --directory DIR    store, journal: on this disk (default: where temporary files are)
  --streams N        events: read N streams (default: 200)
  --pools N          events: of N pools (default: 256)
  --url URL          cluster: at this server, where this account makes databases and removes
                     them again (default: one of its own, as for tests)
  --nodes N          cluster: for each of these numbers of nodes (default: 1,2,4)
  --batches N        cluster: a turn leases so many addresses (default: 1,16,256,2048)
  --ms N             grind: each trial lasts N milliseconds (default: 1000)
  --keys KIND        grind: seed or expanded only
  --suffix PATTERN   grind: search for this (default: [a-z]Pet)
  --patterns N       grind: at the fastest level, for one random pattern and for N at once;
                     10,300 tries both numbers
  --length N         grind: each of these has N characters (default: 4)
`,
  },
  completions: {
    summary: 'print what makes bash, zsh or fish complete what is typed',
    text: `usage: vanitypool completions bash
       vanitypool completions zsh
       vanitypool completions fish

Prints a script for the shell, which then completes commands, options and values of which there are
few; all else as the names of files. To load it each time, write the line into the file that the
shell reads when it starts:

  ~/.bashrc                   source <(vanitypool completions bash)
  ~/.zshrc, after compinit    source <(vanitypool completions zsh)
  ~/.config/fish/config.fish  vanitypool completions fish | source
`,
  },
} as const satisfies Record<string, CommandHelp>;

export type CommandName = keyof typeof HELP;
export const COMMAND_NAMES = Object.keys(HELP) as CommandName[];

/** Every option that a command's help names, with its dashes. */
export function flagsOf(command: CommandName): string[] {
  const flags = HELP[command].text.match(/^ {2}--[a-z-]+/gm) ?? [];
  return [...flags.map((flag) => flag.trim()), '--help'];
}

/** What the help of `pool set` or `grind` calls the value of an option: `N` of `--count N`. */
export function placeholderOf(command: string, option: string): string {
  return new RegExp(`^ {2}${option} (\\S+)`, 'm').exec(textOf(command))?.[1] ?? 'VALUE';
}

/** The line of the help that says how `pool set` or `grind` is used. */
export function usageOf(command: string): string {
  const [head = ''] = textOf(command).split('\n\n', 1);
  const lines = head.split('\n').map((line) => line.replace(/^(usage:)? */, ''));
  const line = lines.find((one) => `${one} `.startsWith(`vanitypool ${command} `));
  return `usage: ${line ?? lines[0]}`;
}

function textOf(command: string): string {
  const [name] = command.split(' ');
  return HELP[name as CommandName].text;
}
