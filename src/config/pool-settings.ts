/**
 * Every setting of a pool, once. The configuration file and the environment, the flags of the command
 * line with their help and their completions, the bodies of the HTTP API and the settings in the store are
 * made of this table, and so are their types. Pure data: the help of the command line loads it.
 *
 * A setting has its name in JSON as its key here; the other spellings follow from it.
 */

/** Addresses that one request takes, at most. */
export const COUNT_MAX = 1000;

/** What `signPrograms` may name: see keypair/sign-programs.ts, which has the same names. */
export const SIGNED_NAMES = [
  'system',
  'token',
  'token-2022',
  'pump',
  'launchlab',
  'meteora-dbc',
  'nonce',
] as const;

interface Common {
  /** In the HTTP API. */
  readonly description: string;
  /** In a running pool; the others are fixed when the pool is made. */
  readonly isChangeable?: boolean;
  /** The flag of the command line; undefined if there is no flag. */
  readonly flag?: {
    /** What the help calls the value; none for a boolean. */
    readonly value?: string;
    readonly help: string;
  };
}

/** From `min` to `max`. */
interface NumberSetting<Kind> extends Common {
  readonly kind: Kind;
  readonly default: number;
  readonly min: number;
  readonly max: number;
}

interface BooleanSetting extends Common {
  readonly kind: 'boolean';
  readonly default: boolean;
}

interface TextSetting extends Common {
  readonly kind: 'text';
  readonly default: string;
  /** In full. */
  readonly pattern?: string;
  /** What is allowed, for people. */
  readonly allowed: string;
  readonly example: string;
}

interface ChoiceSetting extends Common {
  readonly kind: 'choice';
  readonly default: string;
  readonly values: readonly [string, ...string[]];
}

/** Of texts. In the environment commas stand between them, and each flag gives one. */
interface ListSetting extends Common {
  readonly kind: 'list';
  readonly default: readonly string[];
  /** Of each text, in full. */
  readonly pattern?: string;
  /** What is allowed, for people. */
  readonly allowed: string;
  readonly example: string;
}

export type PoolSetting =
  | NumberSetting<'whole'>
  | NumberSetting<'number'>
  | BooleanSetting
  | TextSetting
  | ChoiceSetting
  | ListSetting;

export type SettingsTable = Readonly<Record<string, PoolSetting>>;

export const POOL_SETTINGS = {
  name: {
    kind: 'text',
    default: '',
    pattern: '^[a-z0-9][a-z0-9_-]{0,62}$',
    allowed: 'lower-case letters, digits, "-" and "_", at most 63',
    example: 'pump',
    description: 'As it will be in the routes of the pool.',
  },
  suffix: {
    kind: 'text',
    default: '',
    allowed: 'a pattern such as "[a-z]Pet"',
    example: '[a-z]Pet',
    description: 'A pattern.',
    flag: { value: 'PATTERN', help: 'what the address ends in' },
  },
  prefix: {
    kind: 'text',
    default: '',
    allowed: 'a pattern such as "abc"',
    example: 'So',
    description: 'A pattern; with `suffix` both must match.',
    flag: { value: 'PATTERN', help: 'what the address begins with; with --suffix both must match' },
  },
  ignoreCase: {
    kind: 'boolean',
    default: false,
    description: 'Capital and small letters count as the same.',
    flag: { help: 'capital and small letters count as the same' },
  },
  keys: {
    kind: 'choice',
    default: 'seed',
    values: ['seed', 'expanded'],
    description: 'What its secrets are: keypairs, or expanded keys, which sign but have no seed.',
    flag: {
      value: 'KIND',
      help: 'seed (default), which every wallet imports, or expanded, found up to a hundred times as fast',
    },
  },
  handout: {
    kind: 'choice',
    default: 'secret',
    values: ['secret', 'sign-only'],
    description: 'Whether the secret leaves, or the server signs with it.',
    flag: {
      value: 'KIND',
      help: 'secret (default), or sign-only: the server signs, secrets never leave',
    },
  },
  signLimit: {
    kind: 'whole',
    default: 16,
    min: 1,
    max: 1000,
    description: 'Different messages that each address of a sign-only pool signs, at most.',
    flag: { value: 'N', help: 'a sign-only address signs N different messages' },
  },
  signPrograms: {
    kind: 'list',
    default: [],
    pattern: `^(?:${SIGNED_NAMES.join('|')}|[1-9A-HJ-NP-Za-km-z]{32,44}(?::(?:[0-9a-f]{2}){1,32})?)$`,
    allowed: `a list of ${SIGNED_NAMES.join(', ')}, ids of programs, and "<id>:<hex of the first bytes of data>"`,
    example: 'pump',
    description:
      'Programs for whose instructions an address of a sign-only pool signs: names, ids, and ids with a ' +
      'colon and the first bytes of the data in hexadecimal. Empty: any.',
    flag: {
      value: 'PROGRAM',
      help: 'a sign-only address signs for this program alone: a name such as pump, an id, or ID:HEX',
    },
  },
  signWith: {
    kind: 'list',
    default: [],
    pattern: '^[1-9A-HJ-NP-Za-km-z]{32,44}$',
    allowed: 'a list of addresses',
    example: '4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi',
    description:
      'Accounts of which one has to sign, too, what an address of a sign-only pool signs. Empty: none.',
    flag: {
      value: 'ADDRESS',
      help: 'whatever a sign-only address signs, this account has to sign, too',
    },
  },
  signFeePayer: {
    kind: 'boolean',
    default: false,
    description: 'An address of a sign-only pool signs also what it pays the fee for.',
    flag: { help: 'a sign-only address may pay for what it signs' },
  },
  reuseReleased: {
    kind: 'boolean',
    default: false,
    description: 'Released addresses are handed to others.',
    flag: { help: 'give addresses that a client held and gave back to others' },
  },
  acceptsImports: {
    kind: 'boolean',
    default: false,
    description: 'Keypairs that were found elsewhere may come in.',
    flag: { help: '"vanitypool import" may bring keypairs in' },
  },
  readyMax: {
    kind: 'whole',
    default: 65_536,
    min: 1,
    max: 1_048_576,
    description: 'Room for so many addresses in memory, 152 bytes each.',
    flag: { value: 'N', help: 'at most N in memory, which takes 152 bytes each' },
  },
  target: {
    kind: 'whole',
    default: 1000,
    min: 1,
    max: 100_000_000,
    isChangeable: true,
    description: 'Addresses. Grinding runs while available + leased is below it.',
    flag: { value: 'N', help: 'grind until N addresses are there' },
  },
  ready: {
    kind: 'whole',
    default: 256,
    min: 1,
    max: 1_048_576,
    isChangeable: true,
    description: 'At least so many addresses are kept in memory; at most `readyMax`.',
    flag: { value: 'N', help: 'keep at least N in memory' },
  },
  lowHours: {
    kind: 'number',
    default: 1,
    min: 0,
    max: 8760,
    isChangeable: true,
    description: 'Hours of stock below which the grinder gets a higher priority for it.',
    flag: {
      value: 'HOURS',
      help: 'with less stock than for these the grinder gets a higher priority',
    },
  },
} as const satisfies SettingsTable;

export type PoolSettingsTable = typeof POOL_SETTINGS;

/** What a setting may be, as a type. */
type ValueOf<S extends PoolSetting> = S extends { readonly kind: 'whole' | 'number' }
  ? number
  : S extends { readonly kind: 'boolean' }
    ? boolean
    : S extends { readonly kind: 'choice'; readonly values: readonly (infer Value)[] }
      ? Value
      : S extends { readonly kind: 'list' }
        ? readonly string[]
        : string;

export type SettingsOf<Table extends SettingsTable> = {
  readonly [Key in keyof Table]: ValueOf<Table[Key]>;
};

/** Names of those that can be changed in a running pool. */
export type ChangeableOf<Table extends SettingsTable> = {
  [Key in keyof Table]: Table[Key] extends { readonly isChangeable: true } ? Key : never;
}[keyof Table];

/** `readyMax` as `ready_max` in the file and the environment, or `ready-max` as a flag. */
export function spelled(name: string, separator: '_' | '-'): string {
  return name.replace(/[A-Z]/g, (letter) => `${separator}${letter.toLowerCase()}`);
}

export function changeable(table: SettingsTable): SettingsTable {
  return Object.fromEntries(Object.entries(table).filter(([, { isChangeable }]) => isChangeable));
}
