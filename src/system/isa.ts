/** Which instructions the grind kernel uses, by the names that it has for them, the slowest first. */

/** `js` is the portable path without native code; `portable` is C for any machine. */
export const ISA_LEVELS = ['js', 'portable', 'avx2', 'avx512'] as const;
export type IsaLevel = (typeof ISA_LEVELS)[number];
