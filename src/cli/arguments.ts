/**
 * The arguments of a command, read by Node's own parser and refused in our words: what is wrong is
 * USAGE_INVALID, with the command, the option or value as it was typed, and what is allowed. Pure;
 * nothing is done before the arguments are read.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { VanityError } from '../errors.ts';
import { placeholderOf, usageOf } from './help.ts';
import { hint, usage } from './options.ts';

/** As the help says it. */
const IS_PATH = /^(DIR|FILE|LIST)$/;

export type Options = NonNullable<ParseArgsConfig['options']>;

interface Strict<O extends Options> {
  args: string[];
  options: O;
  allowPositionals: true;
}

/** Typed as Node's parser does when it is strict. */
type Arguments<O extends Options> = Pick<
  ReturnType<typeof parseArgs<Strict<O>>>,
  'values' | 'positionals'
> & { readonly tokens: readonly Token[] };

export interface Taken<O extends Options> {
  /** `grind`, or `pool set`. */
  readonly command: string;
  readonly options: O;
  /** Whether it takes anything but options. */
  readonly allowPositionals?: boolean;
  /** By name, the options of the other subcommands, for a better error message. */
  readonly siblings?: Readonly<Record<string, Options>>;
}

interface OptionToken {
  readonly kind: 'option';
  readonly index: number;
  readonly name: string;
  /** As it was typed, with its dashes. */
  readonly rawName: string;
  readonly value: string | undefined;
  /** Whether it was typed as `--name=value`. */
  readonly inlineValue: boolean | undefined;
}

type Token =
  | OptionToken
  | { readonly kind: 'positional'; readonly index: number; readonly value: string }
  | { readonly kind: 'option-terminator'; readonly index: number };

export function readArguments<const O extends Options>(
  args: string[],
  { command, options, allowPositionals = false, siblings = {} }: Taken<O>,
): Arguments<O> {
  // Strict, it would refuse by itself, in words for programmers.
  const read = parseArgs({ args, options, allowPositionals: true, strict: false, tokens: true });
  const given = new Set<string>();
  for (const token of read.tokens as readonly Token[]) {
    if (token.kind === 'positional' && !allowPositionals) {
      throw unexpected(command, token.value, Object.keys(options));
    }
    if (token.kind !== 'option') continue;
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
    if (option === undefined || !token.rawName.startsWith('--')) {
      throw unknown(command, typed(args, token), options, siblings);
    }
    assertValue(command, token, option.type);
    // Of two values the last would be taken without a word; a list says `multiple`.
    if (option.type === 'string' && !option.multiple && given.has(token.name)) {
      throw usage(`${command}: ${token.rawName} is given twice; allowed: one value`);
    }
    given.add(token.name);
  }
  return read as Arguments<O>;
}

/** The first word of a command that has subcommands. */
export function readVerb<V extends string>(
  command: string,
  [first, ...rest]: readonly string[],
  verbs: readonly V[],
): [V, string[]] {
  const verb = verbs.find((known) => known === first);
  if (verb !== undefined) return [verb, rest];
  const all = verbs.join(', ');
  if (first === undefined) {
    throw usage(`${command}: the subcommand is missing; give one of ${all}`);
  }
  const quoted = JSON.stringify(first);
  if (first.startsWith('-')) {
    throw usage(`${command}: ${quoted} stands before the subcommand; first give one of ${all}`);
  }
  throw usage(`${command} has no subcommand ${quoted}${hint(first, verbs, 'subcommands')}`);
}

/** The one argument of a command that takes one; `what` it is, and `placeholder` as in its help. */
export function onePositional(
  command: string,
  what: string,
  [one, ...more]: readonly string[],
): string {
  if (one === undefined) throw usage(`${command}: which ${what}? ${usageOf(command)}`);
  if (one === '') throw usage(`${command}: ${what} "" is not allowed; ${usageOf(command)}`);
  if (more.length === 0) return one;
  const others = more.map((other) => JSON.stringify(other)).join(' ');
  throw usage(`${command}: takes one ${what}, ${one}, not also ${others}; ${usageOf(command)}`);
}

/** Of an option that stands in one word, or of short ones that are drawn together, the whole word. */
function typed(args: readonly string[], { index }: OptionToken): string {
  return args[index]!.split('=', 1)[0]!;
}

/** A flag has none; any other option has one, which is not the next option. */
function assertValue(command: string, token: OptionToken, type: 'string' | 'boolean'): void {
  const { rawName, value, inlineValue } = token;
  if (type === 'boolean') {
    if (value === undefined) return;
    const given = JSON.stringify(value);
    throw usage(`${command}: ${rawName} takes no value, not ${given}; give ${rawName} alone`);
  }
  const allowed = `give ${rawName} ${placeholderOf(command, rawName)}`;
  if (value === undefined) throw usage(`${command}: ${rawName}: its value is missing; ${allowed}`);
  if (value === '') throw usage(`${command}: ${rawName}: "" is not allowed; ${allowed}`);
  if (value.startsWith('~') && IS_PATH.test(placeholderOf(command, rawName))) {
    const remedy = `it stands for no home directory here; write that out, or ./${value} for a name`;
    throw usage(`${command}: ${rawName}: ${JSON.stringify(value)}: ${remedy}`);
  }
  // A number below zero is no option either: what reads it says what is allowed.
  if (inlineValue || !/^-./.test(value) || /^-\d/.test(value)) return;
  const remedy = `${allowed} (or ${rawName}=${value}, if that is meant)`;
  throw usage(`${command}: ${rawName}: its value is missing before ${value}; ${remedy}`);
}

function unexpected(command: string, value: string, names: readonly string[]): VanityError {
  const quoted = JSON.stringify(value);
  const near = names.includes(value) ? `; did you mean --${value}?` : '';
  return usage(`${command}: ${quoted} is not expected here${near}; ${usageOf(command)}`);
}

function unknown(
  command: string,
  name: string,
  options: Options,
  siblings: Readonly<Record<string, Options>>,
): VanityError {
  const known = [...Object.keys(options), 'help'].map((option) => `--${option}`);
  const [family = ''] = command.split(' ');
  const owners = Object.keys(siblings).filter((verb) => {
    return Object.hasOwn(siblings[verb]!, name.replace(/^--/, ''));
  });
  const positive = name.replace(/^--no-/, '--');
  const all = ` (options: ${known.join(', ')})`;
  let remedy = hint(name, known, 'options');
  if (known.includes(positive)) remedy = `; leave ${positive} out instead${all}`;
  else if (owners.length > 0) {
    remedy = `; it is one of ${owners.map((verb) => `"${family} ${verb}"`).join(' and ')}${all}`;
  }
  return usage(`${command} has no option ${name}${remedy}`);
}
