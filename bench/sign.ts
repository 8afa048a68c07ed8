/**
 * What does a signature by an expanded key cost, beside one by a seed? Each as the server makes it: the
 * message is parsed, and the signature is verified before it leaves.
 *
 *     node bench/sign.ts [--json] [--rounds N]
 *
 * N rounds (5) of 1,000 signatures each, which take turns. Processor time of the thread, which a busy
 * machine distorts less than the clock. Loading libsodium, once in a thread that signs with such keys, is
 * measured in a new process for each round.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { expandedKeyOf } from '../src/keypair/expanded.ts';
import { ExpandedSigner } from '../src/keypair/expanded-signer.ts';
import { keypairOf, SEED_BYTES, signingKeyOf } from '../src/keypair/keypair.ts';
import { signMessage } from '../src/keypair/sign.ts';
import { parseSignPolicy } from '../src/keypair/sign-policy.ts';
import { atMost, currentLoad, Figures, readOptions, report, runBench } from './report.ts';

const SIGNATURES = 1000;
/** Signature alone: seen elsewhere with the same library. */
const MARK_US = 140;
const LOAD = `
  const begin = process.cpuUsage();
  const { default: sodium } = await import('libsodium-wrappers-sumo');
  await sodium.ready;
  const { user, system } = process.cpuUsage(begin);
  console.log((user + system) / 1000);
`;

const ANY = parseSignPolicy({ name: 'any', signPrograms: [], signWith: [], signFeePayer: false });

/** A legacy message of one instruction that creates the account of the second signer. */
function messageFor(publicKey: Uint8Array): Uint8Array {
  const [payer, program, blockhash] = [randomBytes(32), randomBytes(32), randomBytes(32)];
  const instruction = Buffer.concat([Buffer.of(1, 2, 2, 0, 1, 52), randomBytes(52)]);
  const accounts = [Buffer.of(2, 0, 1, 3), payer, publicKey, program];
  return Buffer.concat([...accounts, blockhash, instruction]);
}

/** Microseconds of processor time a call. */
function cost(call: () => void): number {
  for (let index = 0; index < SIGNATURES / 10; index++) call();
  const begin = process.threadCpuUsage();
  for (let index = 0; index < SIGNATURES; index++) call();
  const { user, system } = process.threadCpuUsage(begin);
  return (user + system) / SIGNATURES;
}

function loadMs(): number {
  const cwd = fileURLToPath(new URL('../', import.meta.url));
  const args = ['--input-type=module', '--eval', LOAD];
  return Number(execFileSync(process.execPath, args, { cwd, encoding: 'utf8' }));
}

await runBench(async () => {
  const { json, rounds } = readOptions({ rounds: 5 });
  const loadBefore = currentLoad();
  const signer = await ExpandedSigner.load();
  const seed = signingKeyOf(keypairOf(randomBytes(SEED_BYTES)));
  const { publicKey } = seed;
  const key = expandedKeyOf(seed.key.subarray(0, SEED_BYTES));
  const expanded = { keyType: 'expanded', key, publicKey } as const;
  const message = messageFor(publicKey);
  const figures = new Figures();
  for (let round = 0; round < rounds; round++) {
    const alone = cost(() => signer.sign(expanded, message));
    figures.add('expanded key, signature alone', 'us', alone, atMost(MARK_US));
    figures.add(
      'expanded key, verified',
      'us',
      cost(() => signMessage(expanded, message, ANY, signer)),
    );
    figures.add(
      'seed, verified',
      'us',
      cost(() => signMessage(seed, message, ANY)),
    );
    figures.add('libsodium, loaded', 'ms', loadMs());
  }
  report(figures, { json, rounds, loadBefore });
});
