/**
 * What a configuration key may hold: builders of the rules that the tables of config.ts are made
 * of. Pure; any thread may use them. A rule reads one value and says what is allowed; it knows
 * neither the name of its key nor any other key.
 */

export interface Rule {
  readonly fallback: unknown;
  /** What is allowed, for people. */
  readonly allowed: string;
  /** Somebody may have put a secret here: it is not repeated. */
  readonly isSecret?: boolean;
  /** The value if it is allowed, else undefined. */
  read(value: unknown): unknown;
}

export const whole = (fallback: number, min: number, max: number): Rule => ({
  fallback,
  allowed: `a whole number from ${min} to ${max}`,
  read: (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
      ? value
      : undefined,
});
export const flag = (fallback: boolean): Rule => ({
  fallback,
  allowed: 'true or false',
  read: (value) => (typeof value === 'boolean' ? value : undefined),
});
export const text = (fallback: string, allowed: string, pattern = /^/): Rule => ({
  fallback,
  allowed,
  read: (value) => (typeof value === 'string' && pattern.test(value) ? value : undefined),
});
export const oneOf = (fallback: unknown, ...values: unknown[]): Rule => ({
  fallback,
  allowed: values.map((value) => JSON.stringify(value)).join(' or '),
  read: (value) => (values.includes(value) ? value : undefined),
});
/** A key of the contract of which this version serves one value alone. */
export const only = (value: unknown): Rule => ({
  ...oneOf(value, value),
  allowed:
    value === undefined ? 'no value in this version' : `${JSON.stringify(value)} in this version`,
});
