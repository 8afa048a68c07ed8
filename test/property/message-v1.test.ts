/**
 * Messages of version 1 against two others: what @solana/kit builds is read to the same, and of changed
 * bytes those are refused that the Solana runtime refuses before it executes anything (SanitizeFailure).
 * Each byte of each message is changed. The runtime of `litesvm` ends its process over bytes that it cannot
 * decode, and ignores bytes behind the end: those are recognised by their length. FC_RUNS sets the number of
 * runs.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  appendTransactionMessageInstructions,
  type Blockhash,
  compileTransaction,
  createTransactionMessage,
  getTransactionEncoder,
  getTransactionSize,
  lamports,
  setTransactionMessageConfig,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
  type Transaction,
} from '@solana/kit';
import fc from 'fast-check';
import { FailedTransactionMetadata, LiteSVM } from 'litesvm';
import { addressOf } from '../../src/keypair/address.ts';
import { type Message, parseMessage } from '../../src/keypair/message.ts';
import { addresses, ROLES } from '../support/kit-accounts.ts';
import { NO_VERSION_1 } from '../support/runtime-version.ts';

const numRuns = Number(process.env.FC_RUNS ?? 30);
const BYTES_MAX = 4096;
/** Of TransactionError in the runtime. */
const SANITIZE_FAILURE = 13;

const ACCOUNTS = addresses(1, 14);
const PROGRAMS = addresses(101, 3);
const instruction = fc.record({
  programAddress: fc.constantFrom(...PROGRAMS),
  accounts: fc.array(
    fc.record({
      address: fc.constantFrom(...ACCOUNTS),
      role: fc.constantFrom(...ROLES.slice(0, 2), ...ROLES),
    }),
    { maxLength: 6 },
  ),
  data: fc.oneof(
    { weight: 8, arbitrary: fc.uint8Array({ maxLength: 30 }) },
    {
      weight: 1,
      arbitrary: fc.integer({ min: 250, max: 2500 }).map((size) => new Uint8Array(size)),
    },
  ),
});
const u32 = fc.constantFrom(0, 1, 65_536, 1_400_000);
const config = fc.record(
  {
    priorityFeeLamports: fc.constantFrom(0n, 1n, 2n ** 63n),
    computeUnitLimit: u32,
    loadedAccountsDataSizeLimit: u32,
    heapSize: fc.integer({ min: 32, max: 256 }).map((size) => size * 1024),
  },
  { requiredKeys: [] },
);
const draft = fc.record({
  payer: fc.constantFrom(...ACCOUNTS),
  blockhash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  instructions: fc.array(instruction, { maxLength: 6 }),
  config,
});
type Draft = typeof draft extends fc.Arbitrary<infer One> ? One : never;

function compile({ payer, blockhash, instructions, config }: Draft): Transaction {
  const lifetime = {
    blockhash: addressOf(blockhash) as string as Blockhash,
    lastValidBlockHeight: 0n,
  };
  const message = setTransactionMessageLifetimeUsingBlockhash(
    lifetime,
    setTransactionMessageFeePayer(payer, createTransactionMessage({ version: 1 })),
  );
  return compileTransaction(
    appendTransactionMessageInstructions(
      instructions,
      setTransactionMessageConfig(config, message),
    ),
  );
}

function parsed(bytes: Uint8Array): Message | undefined {
  try {
    return parseMessage(bytes);
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'MESSAGE_INVALID', String(error));
    return undefined;
  }
}

test('what kit builds is taken if it fits, with its signers, accounts and data', () => {
  const seen = { configured: 0, cosigned: 0, large: 0 };
  fc.assert(
    fc.property(draft, (one) => {
      const built = compile(one);
      const signers = Object.keys(built.signatures);
      const message = parsed(Uint8Array.from(built.messageBytes));
      const fits = getTransactionSize(built) <= BYTES_MAX && signers.length <= 12;
      assert.equal(message !== undefined, fits);
      if (message === undefined) {
        seen.large++;
        return;
      }
      assert.equal(message.version, 1);
      assert.deepEqual(message.requiredSigners.map(addressOf), signers);
      const keys = message.accountKeys.map(addressOf);
      const read = message.instructions.map(({ programIndex, accountIndexes, data }) => ({
        program: keys[programIndex],
        accounts: [...accountIndexes].map((index) => keys[index]),
        data: [...data],
      }));
      const meant = one.instructions.map(({ programAddress, accounts, data }) => ({
        program: programAddress,
        accounts: accounts.map(({ address }) => address),
        data: [...data],
      }));
      assert.deepEqual(read, meant);
      if (Object.keys(one.config).length > 0) seen.configured++;
      if (signers.length > 1) seen.cosigned++;
    }),
    // The rare kinds are wanted, too.
    { numRuns: numRuns * 40 },
  );
  for (const [kind, count] of Object.entries(seen)) assert.ok(count > 0, `no ${kind} among them`);
});

test('a transaction of version 1 is no message', () => {
  fc.assert(
    fc.property(draft, (one) => {
      const whole = Uint8Array.from(getTransactionEncoder().encode(compile(one)));
      assert.equal(parsed(whole), undefined);
    }),
    { numRuns },
  );
});

/** By what its counts say: the bytes that the runtime can decode, and none behind them. */
function isWhole(bytes: Uint8Array): boolean {
  const view = Buffer.from(bytes);
  if (view.length < 42 || view[0] !== 0x81) return false;
  const mask = view.readUInt32LE(4);
  const fee = mask & 3;
  if (mask > 31 || fee === 1 || fee === 2) return false;
  const [instructions, keys] = [view[40]!, view[41]!];
  const heads = 42 + 32 * keys + 4 * mask.toString(2).replaceAll('0', '').length;
  let length = heads + 4 * instructions;
  if (length > view.length) return false;
  for (let at = heads; at < heads + 4 * instructions; at += 4) {
    length += view[at + 1]! + view.readUInt16LE(at + 2);
  }
  return length === view.length;
}

/** The runtime, where no signature is checked and no blockhash is too old. */
class Runtime {
  readonly #svm = new LiteSVM().withSigverify(false).withBlockhashCheck(false);

  constructor() {
    for (const address of ACCOUNTS) this.#svm.airdrop(address, lamports(10n ** 15n));
  }

  takes(message: Uint8Array): boolean {
    const wire = Buffer.concat([message, new Uint8Array(64 * message[1]!)]);
    const result = this.#simulate(wire);
    return !(result instanceof FailedTransactionMetadata) || result.err() !== SANITIZE_FAILURE;
  }

  /** Past what the package does first: it writes transactions of its own form alone. */
  #simulate(wire: Uint8Array): unknown {
    const { inner } = this.#svm as unknown as {
      inner: { simulateVersionedTransaction(wire: Uint8Array): unknown };
    };
    return inner.simulateVersionedTransaction(wire);
  }
}

test('with any byte changed it is taken where the runtime takes it, and refused otherwise', {
  skip: NO_VERSION_1,
}, () => {
  const runtime = new Runtime();
  const fitting = draft
    .map(compile)
    .filter((one) => getTransactionSize(one) <= 1000 && Object.keys(one.signatures).length <= 12);
  const seen = { taken: 0, refused: 0, unreadable: 0 };
  fc.assert(
    fc.property(fitting, fc.infiniteStream(fc.integer({ min: 1, max: 255 })), (built, values) => {
      const right = Uint8Array.from(built.messageBytes);
      assert.ok(runtime.takes(right) && parsed(right) !== undefined);
      for (let at = 0; at < right.length; at++) {
        const bytes = right.slice();
        const { value } = values.next();
        // Counts and indexes are small; elsewhere any other value will do.
        bytes[at] = value! % 2 === 0 ? right[at]! ^ value! : (right[at]! + 1) % 256;
        const message = parsed(bytes);
        if (bytes[0] !== 0x81 || !isWhole(bytes)) {
          assert.equal(message, undefined, Buffer.from(bytes).toString('hex'));
          seen.unreadable++;
          continue;
        }
        const isTaken = runtime.takes(bytes);
        assert.equal(message !== undefined, isTaken, Buffer.from(bytes).toString('hex'));
        seen[isTaken ? 'taken' : 'refused']++;
      }
    }),
    { numRuns },
  );
  for (const [kind, count] of Object.entries(seen)) assert.ok(count > 10, `${count} ${kind}`);
});
