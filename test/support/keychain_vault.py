"""Signs as a program does that uses the keychain package for Solana (PyPI: solana-keychain), by its Vault signer.

Reads from standard input, as JSON, what to sign and where, and writes what came of it. It runs in the environment
that keychain-python.ts makes.
"""

import asyncio
import base64
import json
import sys

from solana_keychain.core.errors import SignerError
from solana_keychain.vault import VaultSigner, VaultSignerConfig
from solders.transaction import VersionedTransaction


async def main() -> None:
    asked = json.load(sys.stdin)
    address = asked["address"]
    signer = VaultSigner(
        VaultSignerConfig(
            api_base_url=asked["url"], token=asked["token"], key_name=address, public_key=address
        )
    )
    signed = []
    for text in asked["transactions"]:
        transaction = VersionedTransaction.from_bytes(base64.b64decode(text))
        result = await signer.sign_transaction(transaction)
        signed.append(result.encoded_transaction)
    try:
        await signer.sign_message(b"I own this address")
        refusal = None
    except SignerError as error:
        refusal = error.status_code
    available = await signer.is_available()
    print(json.dumps({"available": available, "signed": signed, "refusal": refusal}))


asyncio.run(main())
