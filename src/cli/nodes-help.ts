/** The help of `vanitypool nodes`. Pure data. */

export const NODES_HELP = `usage: vanitypool nodes enrol ID --key KEY [options]

Of a PostgreSQL database that many nodes share. "enrol" lets the node ID, which has
role = "grinder", add addresses. Its first start is refused and says its id and its key: take both
from there, as anybody who can write to the database can put another key into it. Type this on a
node with role = "api" or "all", as the user of its server: it takes the sealing key. The server
may run. A node that has the sealing key needs no enrolment.

  --key KEY          the public key of the node, 64 hexadecimal digits
  --config FILE      read this file (default: vanitypool.toml, if it is there; /dev/null: none)
  --data DIR         the data directory of this node (default: ./data)
  --json             print one JSON object: id, name, key
`;
