/**
 * What a pool refuses to sign. Each refusal has a message that the Solana runtime executes when it is signed
 * all the same, and what that does to the address.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import {
  AccountRole,
  type Address,
  createNoopSigner,
  type Instruction,
  lamports,
  type Transaction,
} from '@solana/kit';
import {
  getAdvanceNonceAccountInstruction,
  getAssignInstruction,
  getCreateAccountInstruction,
  getInitializeNonceAccountInstruction,
  getTransferSolInstruction,
} from '@solana-program/system';
import {
  AuthorityType,
  decodeMint,
  getInitializeMint2Instruction,
  getSetAuthorityInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token';
import type { LiteSVM } from 'litesvm';
import { parseMessage } from '../../src/keypair/message.ts';
import { SIGN_PROGRAMS, TOKEN_2022_PROGRAM } from '../../src/keypair/sign-programs.ts';
import {
  failureOf,
  mintInstructions,
  party,
  signedBy,
  transactionOf,
  VERSIONS,
} from '../support/mint-transactions.ts';
import { NO_VERSION_1 } from '../support/runtime-version.ts';
import { listing, OPERATOR, policyOf, SigningScene, THIEF } from '../support/signing-scene.ts';

const MEMO = 'MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr' as Address;
const LAUNCH = ['system', 'token'];

for (const version of VERSIONS) {
  const skip = version === 1 && NO_VERSION_1;
  suite(`version ${version}`, { skip }, () => {
    test('a mint that is made by the programs of the list is signed', () => {
      const scene = new SigningScene();
      const { mint } = scene;
      const made = mintInstructions(OPERATOR.address, mint.address);
      const transaction = scene.transaction(made, OPERATOR.address, version);
      const settings = { signPrograms: LAUNCH, signWith: [OPERATOR.address] };
      const signature = scene.sign(transaction, settings);
      const signed = signedBy(transaction, OPERATOR);
      const signatures = { ...signed.signatures, [mint.address]: signature };
      assert.equal(failureOf(scene.svm, { ...signed, signatures } as Transaction), undefined);
      assert.equal(scene.ownerOf(mint.address), TOKEN_PROGRAM_ADDRESS);
    });

    test('what the address pays for is refused: its lamports are the fee', () => {
      const scene = new SigningScene();
      const { mint } = scene;
      scene.svm.airdrop(mint.address, lamports(1_000_000_000n));
      const memo = listing(MEMO, Buffer.from('fee'), mint.address);
      const transaction = scene.transaction([memo], mint.address, version);
      const signPrograms = [MEMO];
      const why = /^message: pool vault does not sign it: the address is its fee payer \(/;
      scene.refuses(transaction, {}, why);
      scene.refuses(transaction, { signPrograms }, why);
      scene.execute(transaction);
      assert.ok(scene.lamports(mint.address) < 1_000_000_000n, 'the harm');
      assert.ok(scene.sign(transaction, { signPrograms, signFeePayer: true }));
    });

    test('a program outside the list is refused: the address is assigned to another', () => {
      const scene = new SigningScene();
      const { mint } = scene;
      const programAddress = OPERATOR.address;
      const account = createNoopSigner(mint.address);
      const transaction = scene.transaction(
        [getAssignInstruction({ account, programAddress })],
        THIEF.address,
        version,
      );
      const why = /: instruction 1 of 1 lists the address \(program 1{32}, data from 01000000/;
      scene.refuses(transaction, { signPrograms: LAUNCH }, why);
      scene.refuses(transaction, { signPrograms: ['pump'] }, why);
      scene.refuses(transaction, { signPrograms: ['11111111111111111111111111111111:00'] }, why);
      assert.ok(scene.sign(transaction, { signPrograms: ['11111111111111111111111111111111'] }));
      assert.ok(scene.sign(transaction, {}));
      scene.svm.airdrop(mint.address, lamports(1_000_000n));
      scene.execute(transaction, THIEF);
      assert.equal(scene.ownerOf(mint.address), programAddress, 'the harm');
    });
  });
}

test('lamports that were sent to the address cannot be taken from it', () => {
  const scene = new SigningScene();
  const { mint } = scene;
  scene.svm.airdrop(mint.address, lamports(2_000_000_000n));
  const transfer = getTransferSolInstruction({
    source: createNoopSigner(mint.address),
    destination: THIEF.address,
    amount: 2_000_000_000n,
  });
  // Behind an instruction that is allowed.
  const harmless = listing(MEMO, Buffer.from('mine'), mint.address);
  const transaction = scene.transaction([harmless, transfer]);
  const signPrograms = [MEMO, ...LAUNCH];
  scene.refuses(transaction, { signPrograms }, /instruction 2 of 2 lists the address/);
  const before = scene.lamports(THIEF.address);
  scene.execute(transaction, THIEF);
  assert.ok(scene.lamports(THIEF.address) > before, 'the harm');
});

test('an account is created for Token, Token-2022 or a program of the list alone', () => {
  const pump = SIGN_PROGRAMS.pump!.program;
  const creating = (scene: SigningScene, programAddress: string, payer = THIEF.address) =>
    scene.transaction([
      getCreateAccountInstruction({
        payer: createNoopSigner(payer),
        newAccount: createNoopSigner(scene.mint.address),
        lamports: 2_000_000n,
        space: 82n,
        programAddress: programAddress as Address,
      }),
    ]);
  const scene = new SigningScene();
  const stolen = creating(scene, OPERATOR.address);
  for (const signPrograms of [LAUNCH, ['system'], ['system', 'pump']]) {
    scene.refuses(stolen, { signPrograms }, /instruction 1 of 1 lists .* data from 00000000/);
  }
  scene.execute(stolen, THIEF);
  assert.equal(scene.ownerOf(scene.mint.address), OPERATOR.address, 'the harm');
  const own = new SigningScene();
  for (const owner of [TOKEN_PROGRAM_ADDRESS, TOKEN_2022_PROGRAM]) {
    assert.ok(own.sign(creating(own, owner), { signPrograms: ['system'] }));
  }
  own.refuses(creating(own, pump), { signPrograms: LAUNCH }, /lists the address/);
  assert.ok(own.sign(creating(own, pump), { signPrograms: ['system', 'pump'] }));
  own.refuses(creating(own, TOKEN_PROGRAM_ADDRESS), { signPrograms: ['token'] }, /lists the/);
});

test('the address is the account that is created, and does not pay for another', () => {
  const scene = new SigningScene();
  const { mint } = scene;
  scene.svm.airdrop(mint.address, lamports(2_000_000_000n));
  const other = party(randomBytes(32));
  const transaction = scene.transaction([
    getCreateAccountInstruction({
      payer: createNoopSigner(mint.address),
      newAccount: createNoopSigner(other.address),
      lamports: 1_900_000_000n,
      space: 82n,
      programAddress: TOKEN_PROGRAM_ADDRESS,
    }),
  ]);
  scene.refuses(transaction, { signPrograms: LAUNCH }, /instruction 1 of 1 lists the address/);
  scene.execute(transaction, THIEF, other);
  assert.ok(scene.lamports(mint.address) <= 100_000_000n, 'the harm');
});

test('an account is not listed once more, nor is it another instruction, or longer', () => {
  const scene = new SigningScene();
  const { mint } = scene;
  const [create] = mintInstructions(THIEF.address, mint.address) as [Instruction];
  const again = { address: mint.address, role: AccountRole.READONLY };
  for (const changed of [
    { ...create, accounts: [...create.accounts!, again] },
    { ...create, data: Uint8Array.of(...create.data!, 0) },
    // CreateAccountAllowPrefund, and one that there is not.
    { ...create, data: Uint8Array.of(13, ...create.data!.slice(1)) },
    { ...create, data: Uint8Array.of(0, 1, ...create.data!.slice(2)) },
  ]) {
    const transaction = scene.transaction([changed]);
    scene.refuses(transaction, { signPrograms: LAUNCH }, /lists the address/);
  }
  assert.ok(scene.sign(scene.transaction([create]), { signPrograms: LAUNCH }));
});

test('"token" initialises and does no more: the right to mint is not given away', () => {
  const scene = new SigningScene();
  const { mint } = scene;
  const victim = party(randomBytes(32));
  const made = mintInstructions(OPERATOR.address, victim.address);
  const minted = getInitializeMint2Instruction({
    mint: victim.address,
    decimals: 6,
    mintAuthority: mint.address,
  });
  scene.execute(scene.transaction([made[0]!, minted], OPERATOR.address), OPERATOR, victim);
  const transaction = scene.transaction([
    getSetAuthorityInstruction({
      owned: victim.address,
      owner: createNoopSigner(mint.address),
      authorityType: AuthorityType.MintTokens,
      newAuthority: THIEF.address,
    }),
  ]);
  const why = new RegExp(`lists the address \\(program ${TOKEN_PROGRAM_ADDRESS}, data from 0600`);
  scene.refuses(transaction, { signPrograms: LAUNCH }, why);
  scene.execute(transaction, THIEF);
  const account = scene.svm.getAccount(victim.address);
  assert.ok(account.exists);
  const { mintAuthority } = decodeMint(account).data;
  assert.deepEqual(mintAuthority, { __option: 'Some', value: THIEF.address }, 'the harm');
});

test('a message in which no instruction lists the address is refused, with a list', () => {
  const scene = new SigningScene();
  const { mint } = scene;
  // Among the signers by one instruction, which is then taken away.
  const memo = listing(MEMO, Buffer.from('x'), mint.address);
  const built = scene.transaction([memo]);
  const bytes = built.messageBytes.slice();
  const at = Buffer.from(bytes).lastIndexOf(Buffer.of(1, 1, 1, 0x78));
  assert.ok(at > 0);
  bytes[at + 1] = 0;
  const transaction = { ...built, messageBytes: bytes } as unknown as Transaction;
  assert.equal(parseMessage(Uint8Array.from(bytes)).requiredSigners.length, 2);
  scene.refuses(transaction, { signPrograms: [MEMO] }, /no instruction lists the address/);
  assert.ok(scene.sign(built, { signPrograms: [MEMO] }));
  scene.execute(transaction, THIEF);
});

test('what never expires is refused without "nonce": it is executed when its time suits a thief', () => {
  const scene = new SigningScene();
  const { svm, mint } = scene;
  const nonce = party(randomBytes(32));
  const space = 80n;
  scene.execute(
    scene.transaction([
      getCreateAccountInstruction({
        payer: createNoopSigner(THIEF.address),
        newAccount: createNoopSigner(nonce.address),
        lamports: 2_000_000n,
        space,
        programAddress: '11111111111111111111111111111111' as Address,
      }),
      getInitializeNonceAccountInstruction({
        nonceAccount: nonce.address,
        nonceAuthority: THIEF.address,
      }),
    ]),
    THIEF,
    nonce,
  );
  const stored = svm.getAccount(nonce.address);
  assert.ok(stored.exists);
  svm.expireBlockhash();
  const advance = getAdvanceNonceAccountInstruction({
    nonceAccount: nonce.address,
    nonceAuthority: createNoopSigner(THIEF.address),
  });
  const made = mintInstructions(THIEF.address, mint.address);
  const built = scene.transaction([advance, ...made]);
  const bytes = built.messageBytes.slice();
  const blockhash = Buffer.from(bytes).indexOf(hashOf(svm));
  bytes.set(stored.data.slice(40, 72), blockhash);
  const transaction = { ...built, messageBytes: bytes } as unknown as Transaction;
  const why = /it begins with AdvanceNonceAccount and never expires \(without "nonce"\)/;
  scene.refuses(transaction, { signPrograms: LAUNCH }, why);
  const advances = '11111111111111111111111111111111:04000000';
  scene.refuses(transaction, { signPrograms: [...LAUNCH, advances] }, why);
  assert.ok(scene.sign(transaction, { signPrograms: [...LAUNCH, 'nonce'] }));
  assert.ok(scene.sign(transaction, {}));
  // "nonce" lets nothing else pass.
  scene.refuses(
    scene.transaction([{ ...advance, accounts: [...advance.accounts, made[0]!.accounts![1]!] }]),
    { signPrograms: [...LAUNCH, 'nonce'] },
    /instruction 1 of 1 lists the address/,
  );
  for (let hours = 0; hours < 3; hours++) svm.expireBlockhash();
  scene.execute(transaction, THIEF);
  assert.equal(scene.ownerOf(mint.address), TOKEN_PROGRAM_ADDRESS, 'the harm');
});

function hashOf(svm: LiteSVM): Buffer {
  const { messageBytes } = transactionOf(svm, 0, THIEF.address, []);
  // Version, three numbers, one key.
  return Buffer.from(messageBytes.slice(37, 69));
}

test('without an account of sign_with a thief launches the mint as his own', () => {
  const scene = new SigningScene();
  const { mint } = scene;
  const transaction = scene.transaction(mintInstructions(THIEF.address, mint.address));
  const signWith = [OPERATOR.address];
  const why = new RegExp(`none of the accounts of sign_with signs it \\(${OPERATOR.address}\\)$`);
  scene.refuses(transaction, { signPrograms: LAUNCH, signWith }, why);
  scene.refuses(transaction, { signWith }, why);
  // To be named is not to sign, and the address itself is nobody else.
  const named = { address: OPERATOR.address, role: AccountRole.READONLY };
  const [create, initialise] = mintInstructions(THIEF.address, mint.address);
  const naming = { ...initialise!, accounts: [...initialise!.accounts!, named] };
  scene.refuses(scene.transaction([create!, naming]), { signWith }, why);
  scene.refuses(transaction, { signWith: [mint.address] }, /none of the accounts/);
  assert.ok(scene.sign(transaction, { signWith: [OPERATOR.address, THIEF.address] }));
  scene.execute(transaction, THIEF);
  const account = scene.svm.getAccount(mint.address);
  assert.ok(account.exists);
  const { mintAuthority } = decodeMint(account).data;
  assert.deepEqual(mintAuthority, { __option: 'Some', value: THIEF.address }, 'the harm');
});

test('each launchpad signs its own instructions, and for its own program', () => {
  const scene = new SigningScene();
  const { mint } = scene;
  for (const name of ['pump', 'launchlab', 'meteora-dbc', 'token', 'token-2022']) {
    const { program, instructions } = SIGN_PROGRAMS[name]!;
    for (const hex of Object.values(instructions)) {
      const data = Buffer.concat([Buffer.from(hex, 'hex'), randomBytes(5)]);
      const right = scene.transaction([listing(program as Address, data, mint.address)]);
      assert.ok(scene.sign(right, { signPrograms: [name] }), name);
      assert.ok(scene.sign(right, { signPrograms: [`${program}:${hex.slice(0, 2)}`] }));
      assert.ok(scene.sign(right, { signPrograms: [program] }));
      const elsewhere = scene.transaction([listing(MEMO, data, mint.address)]);
      scene.refuses(elsewhere, { signPrograms: [name] }, /lists the address/);
      const almost = Buffer.from(hex, 'hex');
      almost[almost.length - 1]! ^= 1;
      for (const wrong of [almost, Buffer.of(0xee), Buffer.alloc(0)]) {
        const changed = scene.transaction([listing(program as Address, wrong, mint.address)]);
        scene.refuses(changed, { signPrograms: [name] }, /lists the address \(program/);
      }
    }
  }
});

test('an entry that is neither a name nor a program is refused, and names what is allowed', () => {
  for (const entry of ['pum', 'Pump', MEMO.slice(1), `${MEMO}:0`, `${MEMO}:`, `${MEMO}:xx`, '']) {
    assert.throws(() => policyOf({ signPrograms: ['token', entry] }), {
      code: 'CONFIG_INVALID',
      message: new RegExp(
        `^pools\\.vault\\.sign_programs: "${entry}" is not allowed; allowed: system, token, .*, nonce, `,
      ),
    });
  }
  for (const entry of ['pump', 'x', `${MEMO}:00`, '']) {
    assert.throws(() => policyOf({ signWith: [entry] }), {
      code: 'CONFIG_INVALID',
      message: `pools.vault.sign_with: "${entry}" is not allowed; allowed: the address of an account`,
    });
  }
  assert.ok(policyOf({ signPrograms: [`${MEMO}:AB`, MEMO], signWith: [MEMO] }));
});
