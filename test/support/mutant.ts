/**
 * Preloaded (`node --import`) it takes one rule out of the program, in every thread of the process: the first place
 * of MUTANT_FROM in the file whose name ends with MUTANT_FILE reads MUTANT_TO. Says so when it did.
 */
import { writeSync } from 'node:fs';
import { registerHooks } from 'node:module';

const { MUTANT_FILE, MUTANT_FROM, MUTANT_TO } = process.env;

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.endsWith(MUTANT_FILE!)) return loaded;
    const source = String(loaded.source);
    if (source.includes(MUTANT_FROM!)) writeSync(1, 'mutated\n');
    return { ...loaded, source: source.replace(MUTANT_FROM!, () => MUTANT_TO!) };
  },
});
