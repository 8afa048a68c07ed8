/**
 * Which kernel a thread gets: native code where there is some, else the portable path. Any thread may
 * load it.
 */

import { VanityError } from '../errors.ts';
import { type AddonOrigin, loadAddon } from '../system/addon.ts';
import { ISA_LEVELS } from '../system/isa.ts';
import type { Kernel } from './kernel.ts';
import { nativeKernel } from './native-kernel.ts';
import { portableKernel } from './portable-kernel.ts';

/**
 * The fastest kernel of this machine, or the one that `isa` (VANITYPOOL_ISA) names: a level of the
 * native kernel, or 'js' for the portable path. `warning` says why grinding will be slow, and `origin`
 * where native code is from.
 * Errors: CONFIG_INVALID for a level that is unknown here.
 */
export function loadKernel(isa = process.env.VANITYPOOL_ISA || undefined): {
  kernel: Kernel;
  warning: string | undefined;
  origin?: AddonOrigin;
} {
  if (isa === 'js') return { kernel: portableKernel(), warning: undefined };
  const { addon, origin, problem } = loadAddon();
  if (addon === undefined) {
    if (isa !== undefined) {
      throw new VanityError('CONFIG_INVALID', `VANITYPOOL_ISA: "${isa}" cannot be had: ${problem}`);
    }
    const warning = `${problem}; grinding uses the portable path, hundreds of times slower`;
    return { kernel: portableKernel(), warning };
  }
  const level = addon.levelName(isa);
  if (level === undefined) {
    const message = `VANITYPOOL_ISA: this machine and build have ${kernelLevels().join(', ')}, not "${isa}"`;
    throw new VanityError('CONFIG_INVALID', message);
  }
  return { kernel: nativeKernel(addon, level), warning: undefined, origin };
}

/** What VANITYPOOL_ISA may say on this machine, slowest first. */
export function kernelLevels(): string[] {
  const { addon } = loadAddon();
  // A build lacks those of other machines.
  return ISA_LEVELS.filter((isa) => isa === 'js' || addon?.levelName(isa) === isa);
}
