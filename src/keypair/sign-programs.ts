/**
 * Programs and instructions by the names that `sign_programs` of a pool takes: the program's id, and how
 * the data of each instruction that is meant begins, in hexadecimal. Pure data.
 *
 * Sources: the crates solana-system-interface 3.3, spl-token-interface 3.0, spl-token-2022-interface 4.0,
 * spl-token-metadata-interface 1.0 and spl-token-group-interface 0.7 (the number of each instruction, and
 * below an extension that of its own); for launchpads the IDL of each program, in which the bytes of an
 * instruction are the first eight of SHA-256 of `global:` and its name, as Anchor makes them. A test
 * computes those again.
 */

export interface NamedProgram {
  readonly program: string;
  /** What each is called by the program, and how its data begins. */
  readonly instructions: Readonly<Record<string, string>>;
}

export const SYSTEM_PROGRAM = '11111111111111111111111111111111';
export const TOKEN_PROGRAM = 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA';
export const TOKEN_2022_PROGRAM = 'TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb';

/** Allows a message that begins with AdvanceNonceAccount, which never expires. */
export const NONCE = 'nonce';
/** CreateAccount, whose accounts and owner are looked at, too: see sign-policy.ts. */
export const SYSTEM = 'system';

/** Little-endian numbers of four bytes. */
export const CREATE_ACCOUNT = '00000000';
export const ADVANCE_NONCE_ACCOUNT = '04000000';

export const SIGN_PROGRAMS: Readonly<Record<string, NamedProgram>> = {
  token: {
    program: TOKEN_PROGRAM,
    instructions: { InitializeMint: '00', InitializeMint2: '14' },
  },
  // Of a mint; accounts of holders are initialised by others.
  'token-2022': {
    program: TOKEN_2022_PROGRAM,
    instructions: {
      InitializeMint: '00',
      InitializeMint2: '14',
      InitializeMintCloseAuthority: '19',
      'TransferFee InitializeTransferFeeConfig': '1a00',
      'ConfidentialTransfer InitializeMint': '1b00',
      'DefaultAccountState Initialize': '1c00',
      InitializeNonTransferableMint: '20',
      'InterestBearingMint Initialize': '2100',
      InitializePermanentDelegate: '23',
      'TransferHook Initialize': '2400',
      'ConfidentialTransferFee InitializeConfidentialTransferFeeConfig': '2500',
      'MetadataPointer Initialize': '2700',
      'GroupPointer Initialize': '2800',
      'GroupMemberPointer Initialize': '2900',
      'ConfidentialMintBurn InitializeMint': '2a00',
      'ScaledUiAmount Initialize': '2b00',
      'Pausable Initialize': '2c00',
      'PermissionedBurn Initialize': '2e00',
      'spl_token_metadata_interface:initialize_account': 'd2e11ea258b84d8d',
      'spl_token_group_interface:initialize_token_group': '79716c2736330004',
    },
  },
  // pump.fun.
  pump: {
    program: '6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P',
    instructions: { create: '181ec828051c0777', create_v2: 'd6904cec5f8b31b4' },
  },
  // Raydium.
  launchlab: {
    program: 'LanMV9sAd7wArD4vJFi2qDdfnVhFxYSUg6eADduJ3uj',
    instructions: {
      initialize: 'afaf6d1f0d989bed',
      initialize_v2: '4399af27da102620',
      initialize_with_token_2022: '25be7ede2c9aab11',
    },
  },
  'meteora-dbc': {
    program: 'dbcij3LWUppWqq96dh6gJWwBifmcGfLSB5D4DuSMaqN',
    instructions: {
      initialize_virtual_pool_with_spl_token: '8c55d7b06636684f',
      initialize_virtual_pool_with_token2022: 'a976334e916edc9b',
      initialize_virtual_pool_with_token2022_transfer_hook: 'b60de9b12a918702',
    },
  },
};

/** Every name, in the order in which they are shown. */
export const PROGRAM_NAMES: readonly string[] = [SYSTEM, ...Object.keys(SIGN_PROGRAMS), NONCE];
