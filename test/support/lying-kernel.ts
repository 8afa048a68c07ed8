/**
 * Preloaded (`node --import`) it puts a kernel that lies in place of the real one, in every thread
 * of the process: the only way to see what a grinder thread does on a machine that miscomputes.
 * LYING_KERNEL says how: 'key' gives a wrong public key, 'pattern' an address that does not match,
 * 'index' a pattern that was not asked for, 'seen' is a fault that the kernel saw itself.
 * Each slice has one true hit, and from the third slice on a lie after it.
 */
import { randomBytes } from 'node:crypto';
import { registerHooks } from 'node:module';
import type { Kernel, KernelHit, Slice } from '../../src/grinder/kernel.ts';
import { addressOf } from '../../src/keypair/address.ts';
import { keypairOf, SEED_BYTES, signingKeyOf } from '../../src/keypair/keypair.ts';
import { matches, type Pattern } from '../../src/keypair/pattern.ts';

registerHooks({
  resolve(specifier, context, next) {
    const isKernel = context.parentURL?.endsWith('/src/grinder/worker.ts');
    if (specifier !== './load-kernel.ts' || !isKernel) return next(specifier, context);
    return { url: import.meta.url, shortCircuit: true };
  },
});

function find(pattern: Pattern, isMatch: boolean): Uint8Array {
  for (;;) {
    const keypair = keypairOf(randomBytes(SEED_BYTES));
    if (matches(pattern, addressOf(keypair.subarray(SEED_BYTES))) === isMatch) return keypair;
  }
}

function lie(pattern: Pattern): { hit?: KernelHit; faults: number } {
  const keypair = find(pattern, process.env.LYING_KERNEL !== 'pattern');
  switch (process.env.LYING_KERNEL) {
    case 'key':
      keypair[0]! ^= 1;
      return { hit: { ...signingKeyOf(keypair), pattern: 0 }, faults: 0 };
    case 'pattern':
      return { hit: { ...signingKeyOf(keypair), pattern: 0 }, faults: 0 };
    case 'index':
      return { hit: { ...signingKeyOf(keypair), pattern: 1 }, faults: 0 };
    default:
      return { faults: 1 };
  }
}

export function loadKernel(): { kernel: Kernel; warning: string } {
  const kernel: Kernel = {
    isa: 'lying',
    open([pattern]) {
      let slices = 0;
      const slice = (): Slice => {
        const hits = [{ ...signingKeyOf(find(pattern!, true)), pattern: 0 }];
        if (++slices < 3) return { attempts: 58, hits, faults: 0 };
        const { hit, faults } = lie(pattern!);
        return { attempts: 116, hits: hit === undefined ? hits : [...hits, hit], faults };
      };
      return { tableBytes: 0, slice, close() {} };
    },
    lower() {},
  };
  return { kernel, warning: 'this kernel lies' };
}
