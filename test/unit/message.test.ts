/**
 * Legacy and version 0, built here byte by byte; version 1 is in message-v1.test.ts. What another
 * implementation builds is in the property tests.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertRequiredSigner, parseMessage } from '../../src/keypair/message.ts';

type Instruction = readonly [program: number, accounts: readonly number[], data: Uint8Array];
type Lookup = readonly [writable: readonly number[], readonly: readonly number[]];

interface Draft {
  readonly front?: readonly number[];
  readonly header?: readonly number[];
  readonly keys?: readonly Uint8Array[];
  readonly instructions?: readonly Instruction[];
  /** Only in version 0. */
  readonly lookups?: readonly Lookup[];
}

const PAYER = key(1);
const OTHER = key(2);
const PROGRAM = key(3);
const V0 = [0x80];

function key(first: number): Uint8Array {
  return Uint8Array.of(first, ...Array(31).fill(7));
}

function keys(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => key(index));
}

function length(value: number): Uint8Array {
  if (value < 0x80) return Uint8Array.of(value);
  return Uint8Array.of((value & 0x7f) | 0x80, value >> 7);
}

function list<T>(items: readonly T[], item: (item: T) => readonly Uint8Array[]): Uint8Array[] {
  return [length(items.length), ...items.flatMap(item)];
}

function counted(bytes: readonly number[] | Uint8Array): Uint8Array[] {
  return [length(bytes.length), Uint8Array.from(bytes)];
}

function wire(draft: Draft): Uint8Array {
  const {
    front = [],
    header = [1, 0, 1],
    instructions = [[2, [0, 1], Buffer.from('data')]],
  } = draft;
  const lookups = draft.lookups ?? [];
  return Buffer.concat([
    Uint8Array.from([...front, ...header]),
    ...list(draft.keys ?? [PAYER, OTHER, PROGRAM], (one) => [one]),
    Buffer.alloc(32, 9),
    ...list(instructions, ([program, accounts, data]) => [
      Uint8Array.of(program),
      ...counted(accounts),
      ...counted(data),
    ]),
    ...(front.length === 0
      ? []
      : list(lookups, ([writable, readonly]) => [
          key(100),
          ...counted(writable),
          ...counted(readonly),
        ])),
  ]);
}

function refused(bytes: Uint8Array, message: RegExp | string): void {
  assert.throws(() => parseMessage(bytes), {
    name: 'VanityError',
    code: 'MESSAGE_INVALID',
    message,
  });
}

test('a message shows its version, who must sign, and its instructions', () => {
  const two = { header: [2, 1, 1] };
  assert.deepEqual(parseMessage(Uint8Array.from(wire(two))), {
    version: 'legacy',
    requiredSigners: [PAYER, OTHER],
    accountKeys: [PAYER, OTHER, PROGRAM],
    instructions: [
      {
        programIndex: 2,
        accountIndexes: Uint8Array.of(0, 1),
        data: Uint8Array.from(Buffer.from('data')),
      },
    ],
  });
  const lookups: Lookup[] = [
    [[0, 255], []],
    [[], [5]],
  ];
  const draft = { front: V0, lookups, instructions: [[2, [5, 0], Buffer.alloc(200)]] as const };
  assert.deepEqual(parseMessage(Uint8Array.from(wire(draft))), {
    version: 0,
    requiredSigners: [PAYER],
    accountKeys: [PAYER, OTHER, PROGRAM],
    instructions: [
      { programIndex: 2, accountIndexes: Uint8Array.of(5, 0), data: new Uint8Array(200) },
    ],
  });
  assert.equal(parseMessage(wire({ front: V0 })).version, 0);
});

test('the shortest message has 69 bytes and no instruction', () => {
  const shortest = wire({ header: [1, 0, 0], keys: [PAYER], instructions: [] });
  assert.equal(shortest.length, 69);
  assert.equal(parseMessage(shortest).requiredSigners.length, 1);
});

test('a message that is cut anywhere is refused, and so is one byte behind it', () => {
  for (const draft of [{}, { front: V0, lookups: [[[1], [2]]] as Lookup[] }]) {
    const whole = wire(draft);
    for (let bytes = 0; bytes < whole.length; bytes++) refused(whole.subarray(0, bytes), /left$/);
    const longer = Buffer.concat([whole, Uint8Array.of(0)]);
    refused(longer, `message: offset ${whole.length}, end: 1 bytes behind the message`);
  }
  refused(new Uint8Array(0), 'message: offset 0, first byte: 1 bytes needed, 0 left');
  const keysCut = wire({}).subarray(0, 50);
  refused(keysCut, 'message: offset 36, account keys: 32 bytes needed, 14 left');
});

test('an address table that the legacy version does not know is refused', () => {
  refused(Buffer.concat([wire({}), Uint8Array.of(1), key(9), Uint8Array.of(1, 0, 0)]), /behind/);
});

test('what people sign besides transactions is refused: off-chain messages, text, hashes', () => {
  const allowed = /^message: an off-chain message is not signed; allowed: /;
  refused(Buffer.from('\xffsolana offchain', 'latin1'), allowed);
  refused(Buffer.from('\xffsolana offchain\0and more', 'latin1'), allowed);
  for (let first = 0x20; first < 0x7f; first++) {
    // A body that would be a message, were it not for the number of signers.
    const text = wire({ header: [first, 0, 0], keys: keys(first), instructions: [] });
    refused(text, /^message: \d+ bytes and \d+ signatures do not fit into a packet/);
    refused(Buffer.alloc(100, first), /^message: /);
  }
  for (let first = 0; first < 256; first++) refused(Buffer.alloc(32, first), /^message: /);
});

test('every other version is refused by its number', () => {
  for (let version = 2; version < 128; version++) {
    const allowed = `message: version ${version} is not signed; allowed: legacy, version 0 and version 1`;
    refused(wire({ front: [0x80 + version] }), allowed);
  }
});

test('one signer at least can pay, and the account keys hold all that the header counts', () => {
  refused(
    wire({ header: [0, 0, 1] }),
    'message: 0 of 0 required signers are read-only; one must pay',
  );
  refused(
    wire({ header: [1, 1, 1] }),
    'message: 1 of 1 required signers are read-only; one must pay',
  );
  refused(wire({ header: [2, 3, 0] }), /^message: 3 of 2 /);
  assert.equal(parseMessage(wire({ header: [2, 1, 1] })).requiredSigners.length, 2);
  assert.equal(parseMessage(wire({ header: [1, 0, 2] })).requiredSigners.length, 1);
  assert.equal(parseMessage(wire({ header: [3, 0, 0] })).requiredSigners.length, 3);
  const beyond = 'message: 2 required signers and 2 read-only others among 3 account keys';
  refused(wire({ header: [2, 0, 2] }), beyond);
  refused(wire({ header: [4, 0, 0] }), /^message: 4 required signers and 0 .* 3 account keys$/);
  refused(wire({ header: [1, 0, 0], keys: [], instructions: [] }), /among 0 account keys$/);
});

test('accounts of lookups do not count for the header', () => {
  const lookups: Lookup[] = [[[1, 2, 3], []]];
  refused(wire({ front: V0, header: [2, 0, 2], lookups }), /among 3 account keys$/);
});

test('an account key stands there once', () => {
  const twice = 'message: account keys: one stands there twice';
  refused(wire({ keys: [PAYER, PROGRAM, PROGRAM] }), twice);
  refused(wire({ front: V0, keys: [PAYER, PAYER, PROGRAM] }), twice);
});

test('a program is an account key, and not the one that pays', () => {
  for (const front of [[], V0]) {
    const lookups: Lookup[] = [[[1], [2]]];
    const called = (program: number) => {
      const one: Instruction = [1, [], Buffer.alloc(0)];
      const other: Instruction = [program, [], Buffer.alloc(0)];
      return wire({ front, lookups, instructions: [one, other] });
    };
    const allowed = 'allowed: 1 to 2';
    assert.ok(parseMessage(called(1)));
    assert.ok(parseMessage(called(2)));
    refused(called(0), `message: instruction 2 of 2: program index 0; ${allowed}`);
    // In version 0 this is an account of a lookup.
    refused(called(3), `message: instruction 2 of 2: program index 3; ${allowed}`);
    refused(called(255), `message: instruction 2 of 2: program index 255; ${allowed}`);
  }
});

test('an account index is one of an account', () => {
  const naming = (front: readonly number[], index: number) =>
    wire({ front, lookups: [[[9], [8, 7]]], instructions: [[2, [0, index, 0], Buffer.alloc(3)]] });
  assert.ok(parseMessage(naming([], 2)));
  refused(naming([], 3), 'message: instruction 1 of 1: account index 3; allowed: 0 to 2');
  assert.ok(parseMessage(naming(V0, 5)));
  refused(naming(V0, 6), 'message: instruction 1 of 1: account index 6; allowed: 0 to 5');
});

test('a lookup loads an account, and all together are at most 256', () => {
  const loading = (...lookups: Lookup[]) => wire({ front: V0, lookups });
  refused(loading([[1], []], [[], []]), 'message: address table lookups: one loads no account');
  const indexes = (count: number) => Array.from({ length: count }, (_, index) => index);
  assert.ok(parseMessage(loading([indexes(127), indexes(126)])));
  const many = 'message: 257 accounts with those of lookups; at most 256';
  refused(loading([indexes(127), indexes(127)]), many);
  refused(loading([indexes(127), []], [[], indexes(127)]), many);
});

test('there are at most 64 instructions', () => {
  const instructions = (count: number): Instruction[] =>
    Array.from({ length: count }, () => [1, [], Buffer.alloc(0)]);
  assert.ok(parseMessage(wire({ instructions: instructions(64) })));
  refused(wire({ instructions: instructions(65) }), 'message: 65 instructions; at most 64');
});

test('a length has one encoding, of at most three bytes and 65535', () => {
  const shortest = wire({ header: [1, 0, 0], keys: [PAYER], instructions: [] });
  const withLength = (...bytes: number[]) =>
    Buffer.concat([shortest.subarray(0, 68), Uint8Array.from(bytes)]);
  assert.ok(parseMessage(withLength(0)));
  const wrong = `message: offset 68, instructions: the length is no compact-u16 in its shortest form`;
  for (const bytes of [
    [0x80, 0],
    [0x81, 0],
    [0x80, 0x80, 0],
    [0xff, 0xff, 0x04],
    [0x80, 0x80, 0x80],
    [0x80, 0x80, 0x80, 0],
    [0xff, 0xff, 0xff, 0x7f],
  ]) {
    refused(withLength(...bytes), wrong);
  }
  refused(withLength(0xff, 0xff, 0x03), /instructions: 1 bytes needed, 0 left$/);
  // The same for data, whose length decides where the rest begins.
  const data = (bytes: number) => wire({ instructions: [[2, [], Buffer.alloc(bytes)]] });
  for (const bytes of [0, 127, 128, 300]) assert.ok(parseMessage(data(bytes)));
});

test('message and signatures fit into one packet of 1232 bytes', () => {
  for (const signers of [1, 2, 5]) {
    const withData = (bytes: number) =>
      wire({
        header: [signers, 0, 1],
        keys: keys(signers + 1),
        instructions: [[signers, [], Buffer.alloc(bytes)]],
      });
    const room = 1232 - 1 - 64 * signers;
    const data = 200 + room - withData(200).length;
    assert.equal(withData(data).length, room);
    assert.equal(parseMessage(withData(data)).requiredSigners.length, signers);
    const needed = `message: ${room + 1} bytes and ${signers} signatures`;
    refused(withData(data + 1), `${needed} do not fit into a packet of 1232 bytes`);
  }
  const signedBy = (signers: number) =>
    wire({ header: [signers, 0, 0], keys: keys(signers), instructions: [] });
  assert.equal(parseMessage(signedBy(12)).requiredSigners.length, 12);
  refused(signedBy(13), /^message: 453 bytes and 13 signatures do not fit/);
});

test('every message with one other byte is a message or MESSAGE_INVALID', () => {
  const drafts: Draft[] = [
    { header: [2, 1, 1] },
    { front: V0, lookups: [[[0, 1], [7]]], instructions: [[2, [4], Buffer.alloc(130)]] },
  ];
  for (const draft of drafts) {
    const bytes = wire(draft);
    for (let at = 0; at < bytes.length; at++) {
      const right = bytes[at]!;
      for (let wrong = 0; wrong < 256; wrong++) {
        bytes[at] = wrong;
        try {
          const { requiredSigners } = parseMessage(bytes);
          assert.ok(requiredSigners.length >= 1 && requiredSigners.length <= 12);
          assert.ok(requiredSigners.every((signer) => signer.length === 32));
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'MESSAGE_INVALID', String(error));
        }
      }
      bytes[at] = right;
    }
  }
});

test('a required signer is one of the first account keys, whole and no other', () => {
  const message = parseMessage(wire({ header: [2, 1, 1] }));
  assertRequiredSigner(message, PAYER);
  assertRequiredSigner(message, Buffer.from(OTHER));
  const almost = OTHER.slice();
  almost[31]! ^= 1;
  for (const publicKey of [PROGRAM, key(50), almost, OTHER.subarray(0, 31), new Uint8Array(0)]) {
    assert.throws(() => assertRequiredSigner(message, publicKey), {
      code: 'SIGNER_NOT_REQUIRED',
      message:
        'message: the address is not among its required signers, which are the first 2 of its account keys',
    });
  }
});
