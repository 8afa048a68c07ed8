/** Messages of version 1 (SIMD-0385), built here byte by byte. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMessage } from '../../src/keypair/message.ts';
import { MESSAGE_BYTES_MAX } from '../../src/keypair/transaction-sizes.ts';

type Instruction = readonly [program: number, accounts: readonly number[], data: Uint8Array];

interface Draft {
  readonly header?: readonly number[];
  readonly mask?: number;
  readonly values?: readonly number[];
  readonly keys?: readonly Uint8Array[];
  readonly instructions?: readonly Instruction[];
}

const KEYS = keys(3);
const HEAP = 0b10000;

function keys(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => new Uint8Array(32).fill(index + 1));
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function wire(draft: Draft = {}): Uint8Array {
  const { header = [2, 1, 1], mask = 0, values = [] } = draft;
  const { keys = KEYS, instructions = [[2, [0, 1], Buffer.from('data')]] } = draft;
  return Uint8Array.from(
    Buffer.concat([
      Uint8Array.of(0x81, ...header),
      u32(mask),
      new Uint8Array(32).fill(9),
      Uint8Array.of(instructions.length, keys.length),
      ...keys,
      ...values.map(u32),
      ...instructions.map(([program, accounts, data]) =>
        Uint8Array.of(program, accounts.length, data.length & 0xff, data.length >> 8),
      ),
      ...instructions.flatMap(([, accounts, data]) => [Uint8Array.from(accounts), data]),
    ]),
  );
}

function refused(bytes: Uint8Array, message: RegExp | string): void {
  assert.throws(() => parseMessage(bytes), { code: 'MESSAGE_INVALID', message });
}

test('a message of version 1 shows who must sign, and each instruction with its own data', () => {
  const instructions: Instruction[] = [
    [2, [0, 1], Buffer.from('first')],
    [1, [], new Uint8Array(0)],
    [2, [2], new Uint8Array(300).fill(7)],
  ];
  assert.deepEqual(parseMessage(wire({ instructions })), {
    version: 1,
    requiredSigners: KEYS.slice(0, 2),
    accountKeys: KEYS,
    instructions: instructions.map(([programIndex, accounts, data]) => ({
      programIndex,
      accountIndexes: Uint8Array.from(accounts),
      data: Uint8Array.from(data),
    })),
  });
  const least = wire({ header: [1, 0, 0], keys: keys(1), instructions: [] });
  assert.equal(least.length, 74);
  assert.equal(parseMessage(least).requiredSigners.length, 1);
});

test('one that is cut anywhere is refused, and so is one byte behind it', () => {
  const whole = wire({ mask: 0b11111, values: [1, 2, 3, 4, 32_768] });
  assert.ok(parseMessage(whole));
  for (let bytes = 0; bytes < whole.length; bytes++) refused(whole.subarray(0, bytes), /left$/);
  refused(
    Buffer.concat([whole, Uint8Array.of(0)]),
    `message: offset ${whole.length}, end: 1 bytes behind the message`,
  );
  // A signature, as it stands behind the message of a transaction.
  refused(Buffer.concat([whole, new Uint8Array(64)]), /end: 64 bytes behind the message$/);
});

test('each bit of the configuration that is known brings four bytes', () => {
  for (const [mask, count] of [
    [0, 0],
    [0b11, 2],
    [0b100, 1],
    [0b1000, 1],
    [0b1111, 4],
  ] as const) {
    const values = Array(count).fill(0xffffffff);
    assert.ok(parseMessage(wire({ mask, values })));
    if (count > 0) refused(wire({ mask, values: values.slice(1) }), /^message: /);
    refused(wire({ mask, values: [...values, 0] }), /^message: /);
  }
});

test('one bit of the priority fee alone is refused', () => {
  const allowed = 'message: configuration: one bit of the priority fee; allowed: both or neither';
  for (const mask of [0b01, 0b10, 0b101, 0b110]) {
    refused(wire({ mask, values: mask > 0b11 ? [1, 1] : [1] }), allowed);
  }
});

test('unknown bits of the configuration are refused, with or without values', () => {
  for (let bit = 5; bit < 32; bit++) {
    const mask = 2 ** bit;
    const unknown = `message: configuration: unknown bits 0x${mask.toString(16)}; allowed: bits 0 to 4`;
    refused(wire({ mask }), unknown);
    refused(wire({ mask, values: [0] }), unknown);
    refused(wire({ mask: mask + 0b11, values: [0, 0, 0] }), unknown);
  }
});

test('a heap has 32 KiB to 256 KiB, a multiple of 1 KiB', () => {
  for (const heap of [32, 33, 256]) {
    assert.ok(parseMessage(wire({ mask: HEAP, values: [heap * 1024] })));
  }
  for (const heap of [0, 31 * 1024, 32_767, 32_769, 33_000, 257 * 1024, 0xffffffff]) {
    refused(
      wire({ mask: HEAP, values: [heap] }),
      `message: configuration: heap of ${heap} bytes; allowed: 32768 to 262144, a multiple of 1024`,
    );
  }
});

test('the account keys hold all that the header counts, and one signer can pay', () => {
  refused(wire({ header: [0, 0, 1] }), /^message: 0 of 0 required signers are read-only/);
  refused(wire({ header: [2, 2, 0] }), /^message: 2 of 2 required signers are read-only/);
  const beyond = 'message: 2 required signers and 2 read-only others among 3 account keys';
  refused(wire({ header: [2, 0, 2] }), beyond);
  refused(wire({ header: [4, 0, 0] }), /among 3 account keys$/);
  refused(wire({ header: [1, 0, 0], keys: [], instructions: [] }), /among 0 account keys$/);
});

test('an account key stands there once', () => {
  const [one, other] = KEYS as [Uint8Array, Uint8Array];
  refused(wire({ keys: [one, other, other] }), 'message: account keys: one stands there twice');
  refused(wire({ keys: [one, other, one] }), 'message: account keys: one stands there twice');
});

test('there are at most 12 signers, 64 account keys and 64 instructions', () => {
  const signed = (count: number) =>
    wire({ header: [count, 0, 0], keys: keys(count), instructions: [] });
  assert.equal(parseMessage(signed(12)).requiredSigners.length, 12);
  refused(signed(13), 'message: 13 required signers; at most 12');
  const naming = (count: number) => wire({ keys: keys(count) });
  assert.equal(parseMessage(naming(64)).accountKeys.length, 64);
  refused(naming(65), 'message: 65 account keys; at most 64');
  const calling = (count: number) =>
    wire({ instructions: Array(count).fill([1, [], new Uint8Array(0)]) });
  assert.equal(parseMessage(calling(64)).instructions.length, 64);
  refused(calling(65), 'message: 65 instructions; at most 64');
});

test('a program is an account key and not the one that pays; an account is an account key', () => {
  const called = (program: number, account = 0) =>
    wire({
      instructions: [
        [1, [], new Uint8Array(0)],
        [program, [account], new Uint8Array(3)],
      ],
    });
  assert.ok(parseMessage(called(2, 2)));
  refused(called(0), 'message: instruction 2 of 2: program index 0; allowed: 1 to 2');
  refused(called(3), 'message: instruction 2 of 2: program index 3; allowed: 1 to 2');
  refused(called(2, 3), 'message: instruction 2 of 2: account index 3; allowed: 0 to 2');
});

test('message and signatures have at most 4,096 bytes', () => {
  assert.equal(MESSAGE_BYTES_MAX, 4032);
  for (const signers of [1, 2, 12]) {
    const withData = (bytes: number) =>
      wire({
        header: [signers, 0, 1],
        keys: keys(signers + 1),
        instructions: [[signers, [], new Uint8Array(bytes)]],
      });
    const room = 4096 - 64 * signers;
    const data = room - withData(0).length;
    assert.equal(parseMessage(withData(data)).instructions[0]!.data.length, data);
    refused(
      withData(data + 1),
      `message: ${room + 1} bytes and ${signers} signatures do not fit into a transaction of 4096 bytes`,
    );
  }
});

test('every message with one other byte is refused, or read as what its bytes say', () => {
  const instructions: Instruction[] = [
    [2, [0, 1], Uint8Array.of(1, 2)],
    [3, [], Uint8Array.of(3)],
  ];
  const values = [1, 2, 3, 4, 32_768];
  const bytes = wire({ keys: keys(4), mask: 0b11111, values, instructions });
  let taken = 0;
  for (let at = 0; at < bytes.length; at++) {
    const right = bytes[at]!;
    for (let other = 0; other < 256; other++) {
      if (other === right) continue;
      bytes[at] = other;
      if (assertTrue(bytes)) taken++;
    }
    bytes[at] = right;
  }
  assert.ok(taken > 20_000, `${taken} taken`);
});

/** Written again from what was read, with the values of the configuration as they were, it is the same. */
function assertTrue(bytes: Uint8Array): boolean {
  let message: ReturnType<typeof parseMessage>;
  try {
    message = parseMessage(bytes);
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'MESSAGE_INVALID', String(error));
    return false;
  }
  // The first byte now says legacy, or version 0: no list fits behind it.
  assert.equal(message.version, 1);
  const view = Buffer.from(bytes);
  const mask = view.readUInt32LE(4);
  const from = 42 + 32 * message.accountKeys.length;
  const count = mask.toString(2).replaceAll('0', '').length;
  const again = wire({
    header: [message.requiredSigners.length, view[2]!, view[3]!],
    mask,
    values: Array.from({ length: count }, (_, index) => view.readUInt32LE(from + 4 * index)),
    keys: message.accountKeys,
    instructions: message.instructions.map(({ programIndex, accountIndexes, data }) => [
      programIndex,
      [...accountIndexes],
      data,
    ]),
  });
  // All but the blockhash, which is not read.
  again.set(bytes.subarray(8, 40), 8);
  assert.deepEqual(again, bytes);
  return true;
}
