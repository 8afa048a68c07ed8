/** The help of the commands that read and write files of keys. Pure. `place`: as of `poolHelp`. */
import { COUNT_MAX } from '../config/pool-settings.ts';

/** `note`: what a pattern is. */
export const grindHelp = (note: string) => `usage: vanitypool grind --suffix PATTERN [options]

Searches with all cores until the addresses are found, and writes each keypair to <address>.json, in
the format of solana-keygen, readable only by you. An existing file is never overwritten. Standard
output gets the path of each file, standard error the progress. Ctrl-C stops the search, keeps what
was found, and prints the command that searches for the rest.

  --suffix PATTERN   the address ends in this
  --prefix PATTERN   the address starts with this
  --words FILE       a pattern on each line: pump or ...pump, abc..., abc...pump; # begins a remark
  --ignore-case      a letter matches in either case
  --count N          find N addresses (default: 1), of each pattern without a number of its own
  --threads N        search with N threads (default: all cores)
  --keys KIND        seed (default), which every wallet imports, or expanded, which is found up to
                     a hundred times as fast and signs, but has no seed: no wallet takes it; its
                     file is <address>.expanded.json, and --secrets prints expandedKey
  --out DIR          write the files here (default: the working directory)
  --encrypt TO       encrypt each file to an age recipient (age1...), several times for several, or
                     to a "passphrase", which is asked for, or is in VANITYPOOL_PASSPHRASE, and
                     takes a second a file: <address>.json.age, which "age -d" decrypts
  --json             print one JSON object a line instead of the path:
                     address, attempts and elapsedMs since the start; pattern, if there are several
  --secrets          with --json: print secretKey too, and write no file; only what cannot be
                     printed is written to a file in the working directory

Several patterns are searched for in one pass, up to 1024; seed keys at hardly more cost than one.
Give each with a number of its own, as PATTERN:N. An address counts for the first pattern that lacks
one. One --prefix and one --suffix without numbers are one pattern, of which both must match.

As solana-keygen grind has them, so that a script changes only the name of the program:

  --starts-with P:N  N addresses that start with P
  --ends-with S:N    N addresses that end with S
  --starts-and-ends-with P:S:N
                     N addresses that do both
  --num-threads N    another name of --threads

${note}
Example:  vanitypool grind --suffix '[a-z]Pet' --count 3 --out keys
          vanitypool grind --suffix pump:3 --suffix '[a-z]Pet:5' --prefix abc --out keys
`;

export const importHelp = (
  place: string,
) => `usage: vanitypool import --pool NAME FILES... [options]

Imports keys that were found elsewhere. FILES are files, folders (all files in them) and "-",
standard input. What a file holds decides, not its name; it may hold any number of keys:

  solana-keygen      [1,2,...], 64 numbers, also with spaces and line feeds; 32 numbers: a seed
  wallets, .env      base58, hex or base64 of 64 bytes; hex of 32: a seed; NAME=KEY, quoted or not
  this program       what "dispense", "export" and "grind" print and write
  others             {"publicKey": ..., "secretKey": ...} with any of these
  many               one a line, JSON lines, or a JSON array of any of these; # begins a remark

64 bytes have to be a seed and its public key. 32 bytes alone, and every other key, have to give an
address that matches the pattern of the pool, which needs accepts_imports = true. An expanded key
says its type; a pool of expanded keys takes those, and no others. All keys are read and proved
before the first one is imported, and an error names file and line. Keys that the store has had
before are counted and dropped, so an interrupted import can simply be repeated. If a server runs,
the command asks it; otherwise it uses the store in the data directory.

  --pool NAME        into this pool
${place}
  --json             print one JSON object

The files stay as they are. Remove them: they hold keys of addresses that the pool hands out.
Example:  vanitypool import --pool pet keys/
          age -d keys.age | vanitypool import --pool pet -
`;

export const exportHelp = (
  place: string,
) => `usage: vanitypool export --pool NAME --count N --out DIR [options]

Hands addresses out, like "dispense", and writes each to DIR/<address>.json, or all to one file,
readable only by you. They are recorded as dispensed, on disk, before the first byte of them is
written. If a server runs, the command asks it, which takes a token with the scopes dispense and
admin; otherwise it uses the store in the data directory. Before each batch it checks that the files
can be written. If a write still fails, the error shows the command that gets the same addresses
again.

  --pool NAME        from this pool
  --count N          how many addresses, at most 1000000, in batches of ${COUNT_MAX}: if the pool is empty
                     before that, the command fails, and what was written stays
  --format FORMAT    json (default): a file each, as solana-keygen writes it; base58: a file each,
                     DIR/<address>.txt, as wallets import it; lines: one new file, a line of JSON
                     for each, as "dispense" prints it. "import" takes them all. An expanded key has
                     no base58, and its file is DIR/<address>.expanded.json
  --out DIR          write the files here; with --format lines the name of the file
${place}
  --json             print a line of JSON for each address, with id, address and path
`;

export const VERIFY_HELP = `usage: vanitypool verify FILES... [options]

Derives each public key again and prints the address, or what is wrong, with file and line. It reads
files, folders and "-", standard input, with keys in every form that "import" takes, and expanded
keys. 32 bytes alone are a seed only in a file that is named after its address. No secret is shown.
Exits with 1 if one of them is bad.

  --json             one JSON object a line: file, line, ok, and address and keyType, or reason

Example:  vanitypool verify keys/
`;
