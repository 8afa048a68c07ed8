/** The help of `vanitypool nodes`. Pure data. */

export const NODES_HELP = `usage: vanitypool nodes list [options]
       vanitypool nodes enrol ID --key KEY [options]
       vanitypool nodes retire ID | --gone --lost-nothing | --burn [options]

Of a PostgreSQL database that many nodes share. All of it is done in the database of the
configuration: servers may run meanwhile, and it works where none can start.

"list", or "vanitypool nodes" alone, shows each node: when it was last seen, the addresses that it
has leased, how fast it grinds, and its state: running; stopped; lost (not heard of for the time of
its lease, and did not stop); missed (the database may have gone back in time, and this node has not
said yet what it did); retired.

"enrol" lets the node ID, which has role = "grinder", add addresses. Its first start is refused and
says its id and its key: take both from there, as anybody who can write to the database can put
another key into it. Type this on a node with role = "api" or "all", as the user of its server: it
takes the sealing key. A node that has the sealing key needs no enrolment.

"retire" says that the node ID does not come back: nobody waits for it any more, and what it had
leased is given up. A node that comes back all the same is one again.

  --key KEY          enrol: the public key of the node, 64 hexadecimal digits
  --gone             retire all nodes that are missed or lost and not heard of now; it lists them
                     and asks once
  --lost-nothing     every commit of the node is in the database
  --burn             nobody knows that: burns all addresses that are available, of all pools
  --yes              with --gone: do not ask. Needed where there is no terminal
  --config FILE      read this file (default: vanitypool.toml, if it is there; /dev/null: none)
  --data DIR         the data directory of this node (default: ./data)
  --json             print one JSON object: state and nodes; of enrol: id, name, key; of retire
                     also retired, the ids
`;
