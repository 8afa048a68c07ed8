/** The help of `vanitypool key`. Pure data. */

/** `place`: the lines on where a command works. */
export const keyHelp = (place: string) => `usage: vanitypool key rotate [options]
       vanitypool key show [--config FILE] [--data DIR] [--json]

"rotate" replaces the sealing key, to which all secrets in the store are sealed, by a new one, also
while a server runs and hands out. The new key is written beside the old one and takes its name when
the store is sealed with it. The old one is kept as sealing.key.ID, readable only by you: backups
that were made before need it. Nothing is lost if the command or the server is killed. Back up the
new key when it is done, and make a new backup.

  --to env:NAME      take the new key from this environment variable of the server, or of this
                     command without one: 64 hexadecimal digits, as "openssl rand -hex 32" prints
                     them. Then set store.sealing_key to it. Needed if the key is in a variable now
  --reseal           after a leak of the old key: also encrypt every secret in the store again,
                     under new data keys, until nothing in the database and its log opens with the
                     old one. The new key is in use before that. If it is interrupted, the server
                     continues, or the next one, or the same command, which makes no other key then
${place}
  --json             print one JSON object: from, to, source, oldSource, dataKeys,
                     toReseal, handedTo (of a database); nothing if --reseal
                     continued an earlier one

A key that has leaked still opens copies of the database and backups from before, also after
--reseal. See "Replace the sealing key" in docs/operations.md.

"show" prints the id of the sealing key, and its public half as a grinder node takes it: the line
store.sealing_key = "public:..." of its configuration. No secret is in it. With --json: id, source,
publicKey.
`;
