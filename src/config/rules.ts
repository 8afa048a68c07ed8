/**
 * What a value of the configuration may be, and how that is described to people. Pure: each rule takes a
 * value as it stands in the file, or as the environment spells it, and gives it back if it is
 * allowed.
 */
import { isIP } from 'node:net';
import { VanityError } from '../errors.ts';
import type { Settings } from './file.ts';

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

export const decimal = (fallback: number, min: number, max: number): Rule => ({
  fallback,
  allowed: `a number from ${min} to ${max}`,
  read: (value) => (typeof value === 'number' && value >= min && value <= max ? value : undefined),
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

/** Of texts, none of them empty. */
export const list = (fallback: readonly string[], allowed: string, pattern = /./): Rule => ({
  fallback,
  allowed,
  read: (value) =>
    Array.isArray(value) && value.every((one) => typeof one === 'string' && pattern.test(one))
      ? value
      : undefined,
});

export const oneOf = (fallback: unknown, ...values: unknown[]): Rule => ({
  fallback,
  allowed: values.map((value) => JSON.stringify(value)).join(' or '),
  read: (value) => (values.includes(value) ? value : undefined),
});

/** The words are those of the library that looks at them. */
const NETWORK = /^(loopback|linklocal|uniquelocal)$/;

export const trustProxy: Rule = {
  fallback: false,
  allowed: 'true, false, or addresses and networks of proxies ("10.0.0.7, 192.168.0.0/16")',
  read: (value) => {
    const areNetworks = typeof value === 'string' && value.split(',').every(isNetwork);
    return typeof value === 'boolean' || areNetworks ? value : undefined;
  },
};

function isNetwork(part: string): boolean {
  const [address = '', bits, ...more] = part.trim().split('/');
  if (bits === undefined && NETWORK.test(address)) return true;
  const version = isIP(address);
  const max = version === 4 ? 32 : 128;
  const areBits = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= max);
  return version !== 0 && areBits && more.length === 0;
}

/** Every rule's value: the given one if it is allowed, else the default. */
export function check(
  given: Settings,
  rules: Readonly<Record<string, Rule>>,
  nameOf: (key: string) => string,
): Settings {
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(rules, key)) {
      const known = Object.keys(rules).join(', ');
      const detail = `${nameOf(key)}: no such key; there are: ${known}`;
      throw new VanityError('CONFIG_UNKNOWN_KEY', detail);
    }
  }
  const values: Record<string, unknown> = {};
  for (const [key, rule] of Object.entries(rules)) {
    const value = given[key];
    values[key] = value === undefined ? rule.fallback : rule.read(value);
    if (value !== undefined && values[key] === undefined) {
      const shown = rule.isSecret ? 'this value' : JSON.stringify(value);
      const detail = `${nameOf(key)}: ${shown} is not allowed; allowed: ${rule.allowed}`;
      throw new VanityError('CONFIG_INVALID', detail);
    }
  }
  return values;
}
