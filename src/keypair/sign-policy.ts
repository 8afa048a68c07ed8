/**
 * What the addresses of a pool sign: its settings `sign_programs`, `sign_with` and `sign_fee_payer`, and
 * whether a message keeps them. Pure; the store thread asks it of the bytes that it is about to sign.
 *
 * An account that signs a transaction signs each instruction in which it stands, and every program that
 * such an instruction calls, with whatever that calls. So all instructions that list the address are
 * looked at, and those that do not are nothing to it. Accounts of look-up tables and programs are not
 * signers (message.ts refuses what says so): the static account keys are all that there is to look at.
 */
import { VanityError } from '../errors.ts';
import { encodeBase58, isAddress } from './address.ts';
import type { Instruction, Message } from './message.ts';
import {
  ADVANCE_NONCE_ACCOUNT,
  CREATE_ACCOUNT,
  NONCE,
  PROGRAM_NAMES,
  SIGN_PROGRAMS,
  SYSTEM,
  SYSTEM_PROGRAM,
  TOKEN_2022_PROGRAM,
  TOKEN_PROGRAM,
} from './sign-programs.ts';

/** Of a pool. */
export interface SigningSettings {
  readonly name: string;
  readonly signPrograms: readonly string[];
  readonly signWith: readonly string[];
  readonly signFeePayer: boolean;
}

export interface SignPolicy {
  readonly pool: string;
  /** Undefined: any program may do anything. */
  readonly programs: Programs | undefined;
  /** Addresses, one of which has to sign, too; none: nobody has to. */
  readonly signWith: ReadonlySet<string>;
  readonly mayPay: boolean;
}

interface Programs {
  /** By address: how the data of its instructions may begin. */
  readonly beginnings: ReadonlyMap<string, readonly Uint8Array[]>;
  readonly createsAccounts: boolean;
  readonly usesNonces: boolean;
  /** Of an account that is created. */
  readonly owners: ReadonlySet<string>;
}

/** Behind its number, lamports and space; the owner is the rest of the data. */
const OWNER_AT = 20;
/** In CreateAccount: who pays, and what is created. */
const NEW_ACCOUNT_PLACE = 1;

const ENTRY = /^([^:]+)(?::([0-9a-f]+))?$/i;

/** Error: CONFIG_INVALID, which names the entry and what is allowed. */
export function parseSignPolicy({
  name,
  signPrograms,
  signWith,
  signFeePayer,
}: SigningSettings): SignPolicy {
  const wrong = signWith.find((one) => !isAddress(one));
  if (wrong !== undefined) {
    throw invalid(name, 'sign_with', wrong, 'the address of an account');
  }
  return {
    pool: name,
    programs: signPrograms.length === 0 ? undefined : programsOf(name, signPrograms),
    signWith: new Set(signWith),
    mayPay: signFeePayer,
  };
}

function programsOf(pool: string, entries: readonly string[]): Programs {
  const beginnings = new Map<string, Uint8Array[]>();
  const add = (program: string, hex: string): void => {
    const all = beginnings.get(program) ?? [];
    beginnings.set(program, [...all, Buffer.from(hex, 'hex')]);
  };
  for (const entry of entries) {
    const named = Object.hasOwn(SIGN_PROGRAMS, entry) ? SIGN_PROGRAMS[entry] : undefined;
    if (named !== undefined) {
      for (const hex of Object.values(named.instructions)) add(named.program, hex);
    } else if (entry !== SYSTEM && entry !== NONCE) {
      const [, program = '', hex = ''] = ENTRY.exec(entry) ?? [];
      if (!isAddress(program) || hex.length % 2 !== 0) {
        const forms = `${PROGRAM_NAMES.join(', ')}, the id of a program, or "<id>:<hex>" with the first`;
        throw invalid(pool, 'sign_programs', entry, `${forms} bytes of the data of an instruction`);
      }
      add(program, hex);
    }
  }
  return {
    beginnings,
    createsAccounts: entries.includes(SYSTEM),
    usesNonces: entries.includes(NONCE),
    owners: new Set([TOKEN_PROGRAM, TOKEN_2022_PROGRAM, ...beginnings.keys()]),
  };
}

/** Error: MESSAGE_REFUSED, unless the policy lets this public key, a required signer, sign the message. */
export function assertAllowed(policy: SignPolicy, message: Message, publicKey: Uint8Array): void {
  const { programs, signWith, mayPay } = policy;
  const { requiredSigners } = message;
  const isOurs = (key: Uint8Array): boolean => Buffer.compare(key, publicKey) === 0;
  const index = requiredSigners.findIndex(isOurs);
  if (index === 0 && !mayPay) {
    throw refused(policy, 'the address is its fee payer', 'sign_fee_payer is false');
  }
  const others = requiredSigners.filter((key) => !isOurs(key)).map(encodeBase58);
  if (signWith.size > 0 && !others.some((other) => signWith.has(other))) {
    throw refused(policy, 'none of the accounts of sign_with signs it', [...signWith].join(', '));
  }
  if (programs !== undefined) assertPrograms(policy, programs, message, index);
}

function assertPrograms(
  policy: SignPolicy,
  programs: Programs,
  message: Message,
  index: number,
): void {
  const { accountKeys, instructions } = message;
  const programIn = ({ programIndex }: Instruction): string =>
    encodeBase58(accountKeys[programIndex]!);
  const first = instructions[0];
  const isDurable =
    first !== undefined &&
    programIn(first) === SYSTEM_PROGRAM &&
    begins(first.data, Buffer.from(ADVANCE_NONCE_ACCOUNT, 'hex'));
  if (isDurable && !programs.usesNonces) {
    throw refused(
      policy,
      'it begins with AdvanceNonceAccount and never expires',
      'without "nonce"',
    );
  }
  let listing = 0;
  for (const [place, instruction] of instructions.entries()) {
    if (!instruction.accountIndexes.includes(index)) continue;
    listing++;
    const program = programIn(instruction);
    const { data } = instruction;
    const allowed = programs.beginnings.get(program) ?? [];
    if (allowed.some((beginning) => begins(data, beginning))) continue;
    if (programs.createsAccounts && createsAs(programs, program, instruction, index)) continue;
    const start = Buffer.from(data.subarray(0, 8)).toString('hex') || 'none';
    throw refused(
      policy,
      `instruction ${place + 1} of ${instructions.length} lists the address`,
      `program ${program}, data from ${start}`,
    );
  }
  if (listing === 0) throw refused(policy, 'no instruction lists the address', 'at least one must');
}

/** CreateAccount with the address as the new account and nothing else, of a program that is allowed. */
function createsAs(
  { owners }: Programs,
  program: string,
  { accountIndexes, data }: Instruction,
  index: number,
): boolean {
  return (
    program === SYSTEM_PROGRAM &&
    begins(data, Buffer.from(CREATE_ACCOUNT, 'hex')) &&
    accountIndexes.every((one, place) => (one === index) === (place === NEW_ACCOUNT_PLACE)) &&
    owners.has(encodeBase58(data.subarray(OWNER_AT)))
  );
}

function begins(data: Uint8Array, beginning: Uint8Array): boolean {
  return Buffer.compare(data.subarray(0, beginning.length), beginning) === 0;
}

function refused({ pool }: SignPolicy, what: string, why: string): VanityError {
  return new VanityError(
    'MESSAGE_REFUSED',
    `message: pool ${pool} does not sign it: ${what} (${why})`,
  );
}

function invalid(pool: string, key: string, entry: string, allowed: string): VanityError {
  const detail = `${JSON.stringify(entry)} is not allowed; allowed: ${allowed}`;
  return new VanityError('CONFIG_INVALID', `pools.${pool}.${key}: ${detail}`);
}
