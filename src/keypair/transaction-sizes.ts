/** How large transactions and their messages may be. Pure data; the schemas of the API use it, too. */

export const SIGNATURE_BYTES = 64;
/** Of version 1 (SIMD-0385): the message, then its signatures, which nothing counts. */
export const TRANSACTION_BYTES_MAX = 4096;
/** With one signature. */
export const MESSAGE_BYTES_MAX = TRANSACTION_BYTES_MAX - SIGNATURE_BYTES;
/** Of others: a transaction travels in one packet, its signatures, counted by one byte, then the message. */
export const PACKET_BYTES = 1232;
