/** The named programs: their bytes computed again, and their instructions as others write them. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { SYSTEM_PROGRAM_ADDRESS, SystemInstruction } from '@solana-program/system';
import { TOKEN_PROGRAM_ADDRESS, TokenInstruction } from '@solana-program/token';
import { POOL_SETTINGS, SIGNED_NAMES } from '../../src/config/pool-settings.ts';
import { isAddress } from '../../src/keypair/address.ts';
import {
  ADVANCE_NONCE_ACCOUNT,
  CREATE_ACCOUNT,
  PROGRAM_NAMES,
  SIGN_PROGRAMS,
  SYSTEM_PROGRAM,
} from '../../src/keypair/sign-programs.ts';

const firstEight = (text: string) => hash('sha256', text, 'hex').slice(0, 16);
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes.toString('hex');
};

test('instructions of launchpads are the first eight bytes of the hash of their names', () => {
  let checked = 0;
  for (const name of ['pump', 'launchlab', 'meteora-dbc']) {
    for (const [instruction, hex] of Object.entries(SIGN_PROGRAMS[name]!.instructions)) {
      assert.equal(hex, firstEight(`global:${instruction}`), instruction);
      checked++;
    }
  }
  assert.equal(checked, 8);
  for (const [text, hex] of Object.entries(SIGN_PROGRAMS['token-2022']!.instructions)) {
    if (text.startsWith('spl_')) assert.equal(hex, firstEight(text));
  }
});

test('those of the system and of tokens are numbered as the packages of the programs number them', () => {
  assert.equal(SYSTEM_PROGRAM, SYSTEM_PROGRAM_ADDRESS);
  assert.equal(CREATE_ACCOUNT, u32(SystemInstruction.CreateAccount));
  assert.equal(ADVANCE_NONCE_ACCOUNT, u32(SystemInstruction.AdvanceNonceAccount));
  const { program, instructions } = SIGN_PROGRAMS.token!;
  assert.equal(program, TOKEN_PROGRAM_ADDRESS);
  const mints = {
    InitializeMint: TokenInstruction.InitializeMint,
    InitializeMint2: TokenInstruction.InitializeMint2,
  };
  for (const [name, number] of Object.entries(mints)) {
    assert.equal(instructions[name], Buffer.of(number).toString('hex'), name);
    assert.equal(SIGN_PROGRAMS['token-2022']!.instructions[name], instructions[name]);
  }
});

test('each has the id of a program and bytes of its own', () => {
  const ids = Object.values(SIGN_PROGRAMS).map(({ program }) => program);
  assert.ok(ids.every(isAddress));
  assert.equal(new Set(ids).size, ids.length);
  for (const { instructions } of Object.values(SIGN_PROGRAMS)) {
    const all = Object.values(instructions);
    assert.equal(new Set(all).size, all.length);
    for (const hex of all) assert.match(hex, /^([0-9a-f]{2}){1,8}$/);
  }
  assert.deepEqual(PROGRAM_NAMES, SIGNED_NAMES);
  const pattern = new RegExp(POOL_SETTINGS.signPrograms.pattern);
  for (const { program, instructions } of Object.values(SIGN_PROGRAMS)) {
    for (const hex of Object.values(instructions)) assert.match(`${program}:${hex}`, pattern);
  }
  for (const wrong of ['pum', 'pumpp', 'Pump', 'pump:00', `${SYSTEM_PROGRAM}:0`, '']) {
    assert.doesNotMatch(wrong, pattern);
  }
});
