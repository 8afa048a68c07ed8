/**
 * Messages, legacy and version 0, against @solana/kit: what it builds is read to the same, and of changed bytes exactly
 * those are taken that it reads back, writes again to the letter, and that keep the rules of the
 * runtime as they are written below. FC_RUNS sets the number of runs.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AccountRole,
  appendTransactionMessageInstructions,
  type CompiledTransactionMessage,
  type CompiledTransactionMessageWithLifetime,
  compileTransaction,
  compressTransactionMessageUsingAddressLookupTables,
  createTransactionMessage,
  getCompiledTransactionMessageDecoder,
  getCompiledTransactionMessageEncoder,
  getTransactionEncoder,
  getTransactionSize,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
  type Transaction,
} from '@solana/kit';
import fc from 'fast-check';
import { addressOf } from '../../src/keypair/address.ts';
import { type Message, parseMessage } from '../../src/keypair/message.ts';
import { addresses, ROLES } from '../support/kit-accounts.ts';

const numRuns = Number(process.env.FC_RUNS ?? 150);

/** As many as may sign one transaction. */
const ACCOUNTS = addresses(1, 12);
const PROGRAMS = addresses(101, 3);
const TABLES = addresses(201, 2);

const instruction = fc
  .record({
    programAddress: fc.constantFrom(...PROGRAMS),
    accounts: fc.array(
      // Signers are rarer: each takes 96 of 1232 bytes.
      fc.record({
        address: fc.constantFrom(...ACCOUNTS, PROGRAMS[0]!),
        role: fc.constantFrom(...ROLES.slice(0, 2), ...ROLES),
      }),
      { maxLength: 6 },
    ),
    data: fc.oneof(
      { weight: 4, arbitrary: fc.uint8Array({ maxLength: 30 }) },
      {
        weight: 1,
        arbitrary: fc.integer({ min: 120, max: 900 }).map((size) => new Uint8Array(size)),
      },
    ),
  })
  .map(({ programAddress, accounts, data }) => ({
    programAddress,
    // A program that is called cannot sign or be written.
    accounts: accounts.map((account) =>
      account.address === PROGRAMS[0] ? { ...account, role: AccountRole.READONLY } : account,
    ),
    data,
  }));

/** Which of the accounts each table holds; those that sign are never loaded from one. */
const tables = fc.tuple(fc.subarray(ACCOUNTS), fc.subarray(ACCOUNTS)).map(([first, second]) => ({
  [TABLES[0]!]: first,
  [TABLES[1]!]: second.filter((address) => !first.includes(address)),
}));

/** A transaction without signatures, as kit compiles it: the message and who must sign. */
const transaction = fc
  .record({
    version: fc.constantFrom('legacy' as const, 0 as const, 0 as const),
    payer: fc.constantFrom(...ACCOUNTS),
    blockhash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    instructions: fc.array(instruction, { maxLength: 8 }),
    tables,
  })
  .map(({ version, payer, blockhash, instructions, tables }): Transaction => {
    const lifetime = {
      blockhash: addressOf(blockhash) as string,
      lastValidBlockHeight: 0n,
    } as Parameters<typeof setTransactionMessageLifetimeUsingBlockhash>[0];
    const legacy = appendTransactionMessageInstructions(
      instructions,
      setTransactionMessageLifetimeUsingBlockhash(
        lifetime,
        setTransactionMessageFeePayer(payer, createTransactionMessage({ version: 'legacy' })),
      ),
    );
    if (version === 'legacy') return compileTransaction(legacy);
    const zero = appendTransactionMessageInstructions(
      instructions,
      setTransactionMessageLifetimeUsingBlockhash(
        lifetime,
        setTransactionMessageFeePayer(payer, createTransactionMessage({ version: 0 })),
      ),
    );
    return compileTransaction(compressTransactionMessageUsingAddressLookupTables(zero, tables));
  });

const fitting = transaction.filter((one) => getTransactionSize(one) <= 1232);

function parsed(bytes: Uint8Array): Message | undefined {
  try {
    return parseMessage(bytes);
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'MESSAGE_INVALID', String(error));
    return undefined;
  }
}

type Compiled = CompiledTransactionMessage & CompiledTransactionMessageWithLifetime;

/** What kit reads, if it writes the same again. */
function readByKit(bytes: Uint8Array): Compiled | undefined {
  try {
    const [message, end] = getCompiledTransactionMessageDecoder().read(bytes, 0);
    if (end !== bytes.length) return undefined;
    const again = getCompiledTransactionMessageEncoder().encode(message);
    return Buffer.compare(Uint8Array.from(again), bytes) === 0 ? message : undefined;
  } catch {
    return undefined;
  }
}

/** The rules of the runtime, each on its own. */
function keepsRules(
  message: Compiled,
  size: number,
): message is Compiled & { version: 'legacy' | 0 } {
  if (message.version === 1) return false;
  const { header, staticAccounts, instructions } = message;
  const lookups = ('addressTableLookups' in message && message.addressTableLookups) || [];
  const loads = lookups.map((one) => one.writableIndexes.length + one.readonlyIndexes.length);
  const accounts = loads.reduce((sum, count) => sum + count, staticAccounts.length);
  const rules = [
    header.numSignerAccounts >= 1,
    header.numReadonlySignerAccounts < header.numSignerAccounts,
    header.numSignerAccounts + header.numReadonlyNonSignerAccounts <= staticAccounts.length,
    new Set(staticAccounts).size === staticAccounts.length,
    loads.every((count) => count >= 1),
    accounts <= 256,
    instructions.length <= 64,
    instructions.every((one) => one.programAddressIndex >= 1),
    instructions.every((one) => one.programAddressIndex < staticAccounts.length),
    instructions.every((one) => (one.accountIndices ?? []).every((index) => index < accounts)),
    1 + header.numSignerAccounts * 64 + size <= 1232,
  ];
  return rules.every((isKept) => isKept);
}

/** Both agree on whether it is a message, and then on what it is. */
function assertAgreed(bytes: Uint8Array): boolean {
  const message = parsed(bytes);
  const expected = readByKit(bytes);
  if (expected === undefined || !keepsRules(expected, bytes.length)) {
    assert.equal(message, undefined, `taken: ${Buffer.from(bytes).toString('hex')}`);
    return false;
  }
  assert.ok(message, `refused: ${Buffer.from(bytes).toString('hex')}`);
  assert.equal(message.version, expected.version);
  const signers = expected.staticAccounts.slice(0, expected.header.numSignerAccounts);
  assert.deepEqual(message.requiredSigners.map(addressOf), signers);
  assert.deepEqual(message.accountKeys.map(addressOf), expected.staticAccounts);
  const read = message.instructions.map(({ programIndex, accountIndexes, data }) => [
    programIndex,
    [...accountIndexes],
    [...data],
  ]);
  const meant = expected.instructions.map((one) => [
    one.programAddressIndex,
    one.accountIndices ?? [],
    [...(one.data ?? [])],
  ]);
  assert.deepEqual(read, meant);
  return true;
}

test('every message that kit builds is taken if it fits into a packet, with its signers', () => {
  const seen = { legacy: 0, versioned: 0, lookups: 0, cosigned: 0, large: 0 };
  fc.assert(
    fc.property(transaction, (built) => {
      const bytes = Uint8Array.from(built.messageBytes);
      const fits = getTransactionSize(built) <= 1232;
      assert.equal(assertAgreed(bytes), fits);
      if (!fits) {
        seen.large++;
        return;
      }
      const { version, requiredSigners } = parseMessage(bytes);
      assert.deepEqual(requiredSigners.map(addressOf), Object.keys(built.signatures));
      seen[version === 0 ? 'versioned' : 'legacy']++;
      const compiled = getCompiledTransactionMessageDecoder().decode(bytes);
      if ('addressTableLookups' in compiled) seen.lookups++;
      if (requiredSigners.length > 1) seen.cosigned++;
    }),
    { numRuns },
  );
  for (const [kind, count] of Object.entries(seen)) assert.ok(count > 0, `no ${kind} among them`);
});

test('a transaction is no message, signed or not', () => {
  fc.assert(
    fc.property(fitting, fc.uint8Array({ minLength: 64, maxLength: 64 }), (built, signature) => {
      const encoder = getTransactionEncoder();
      assert.equal(parsed(Uint8Array.from(encoder.encode(built))), undefined);
      const signatures = Object.fromEntries(
        Object.keys(built.signatures).map((address) => [address, signature]),
      ) as Transaction['signatures'];
      const signed = encoder.encode({ ...built, signatures });
      assert.equal(parsed(Uint8Array.from(signed)), undefined);
    }),
    { numRuns },
  );
});

test('of changed messages those are taken that kit can read and the runtime would not drop', () => {
  // Small numbers are counts and indexes; the rest are the limits of a byte and of its parts.
  const value = fc.oneof(fc.nat({ max: 5 }), fc.constantFrom(127, 128, 129, 254, 255), fc.nat(255));
  const change = fc.record({
    at: fc.nat(0xffff),
    action: fc.constantFrom('set', 'set', 'set', 'remove', 'insert', 'overlong'),
    value,
    isFront: fc.boolean(),
  });
  let taken = 0;
  let refused = 0;
  fc.assert(
    fc.property(fitting, fc.array(change, { minLength: 20, maxLength: 20 }), (built, changes) => {
      const right = [...built.messageBytes];
      for (const { at, action, value, isFront } of changes) {
        const bytes = [...right];
        // The first bytes are those that rule the rest.
        const place = at % (isFront ? 5 : bytes.length);
        if (action === 'insert') bytes.splice(place, 0, value);
        // If it is a length: the same with a byte more than it needs.
        else if (action === 'overlong') bytes.splice(place, 1, bytes[place]! | 0x80, 0);
        else bytes.splice(place, 1, ...(action === 'set' ? [value] : []));
        if (assertAgreed(Uint8Array.from(bytes))) taken++;
        else refused++;
      }
      const cut = changes[0]!.at % right.length;
      assert.equal(assertAgreed(Uint8Array.from(right.slice(0, cut))), false);
    }),
    { numRuns },
  );
  assert.ok(taken > numRuns && refused > numRuns, `${taken} taken, ${refused} refused`);
});

test('with any byte changed it is refused, or read as what it says', () => {
  let taken = 0;
  fc.assert(
    fc.property(fitting, fc.infiniteStream(fc.integer({ min: 1, max: 255 })), (built, values) => {
      const right = Uint8Array.from(built.messageBytes);
      for (let at = 0; at < right.length; at++) {
        const bytes = right.slice();
        bytes[at]! ^= values.next().value!;
        if (assertAgreed(bytes)) taken++;
      }
    }),
    { numRuns: Math.ceil(numRuns / 10) },
  );
  assert.ok(taken > numRuns, `${taken} taken`);
});

test('instructions, accounts and lookups with any numbers are judged alike', () => {
  const index = fc.oneof(fc.nat({ max: 6 }), fc.constantFrom(254, 255));
  const indexes = fc.array(index, { maxLength: 4 });
  const many = fc.oneof(
    { weight: 8, arbitrary: indexes },
    { weight: 1, arbitrary: fc.constantFrom(120, 126, 128).map((count) => Array(count).fill(1)) },
  );
  const compiled = fc.record({
    version: fc.constantFrom('legacy' as const, 0 as const),
    header: fc.record({
      numSignerAccounts: fc.nat({ max: 4 }),
      numReadonlySignerAccounts: fc.nat({ max: 2 }),
      numReadonlyNonSignerAccounts: fc.nat({ max: 3 }),
    }),
    staticAccounts: fc.oneof(
      { weight: 9, arbitrary: fc.subarray(ACCOUNTS.slice(0, 6), { minLength: 3 }) },
      { weight: 1, arbitrary: fc.array(fc.constantFrom(...ACCOUNTS), { maxLength: 6 }) },
    ),
    lifetimeToken: fc.constantFrom(...ACCOUNTS),
    instructions: fc.array(
      fc.record({
        programAddressIndex: fc.oneof(fc.integer({ min: 1, max: 3 }), index),
        accountIndices: fc.array(fc.oneof(fc.nat({ max: 3 }), index), { maxLength: 3 }),
        data: fc.uint8Array({ maxLength: 3 }),
      }),
      { maxLength: 3 },
    ),
    addressTableLookups: fc.array(
      fc.record({
        lookupTableAddress: fc.constantFrom(...TABLES),
        writableIndexes: many,
        readonlyIndexes: many,
      }),
      { maxLength: 3 },
    ),
  });
  let taken = 0;
  const runs = numRuns * 10;
  fc.assert(
    fc.property(compiled, (message) => {
      const encoded = getCompiledTransactionMessageEncoder().encode(message as Compiled);
      if (assertAgreed(Uint8Array.from(encoded))) taken++;
    }),
    { numRuns: runs },
  );
  assert.ok(taken > runs / 20 && taken < runs, `${taken} of ${runs} were taken`);
});
