/**
 * Preloaded (`node --import`) it puts a kernel that hangs in place of the real one, in every thread
 * of the process: a slice waits for somebody to write into the named pipe STUCK_ON, which nothing
 * but the end of the process interrupts. So does a thread that gets no core.
 */
import { openSync, writeSync } from 'node:fs';
import { registerHooks } from 'node:module';
import type { Kernel, Slice } from '../../src/grinder/kernel.ts';

registerHooks({
  resolve(specifier, context, next) {
    const isKernel = context.parentURL?.endsWith('/src/grinder/worker.ts');
    if (specifier !== './load-kernel.ts' || !isKernel) return next(specifier, context);
    return { url: import.meta.url, shortCircuit: true };
  },
});

export function loadKernel(): { kernel: Kernel; warning: undefined } {
  const slice = (): Slice => {
    writeSync(1, 'stuck\n');
    openSync(process.env.STUCK_ON!, 'r');
    return { attempts: 1, hits: [], faults: 0 };
  };
  const kernel: Kernel = {
    isa: 'stuck',
    open: () => ({ tableBytes: 0, slice, close() {} }),
    lower() {},
  };
  return { kernel, warning: undefined };
}
