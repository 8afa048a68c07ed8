/* The yardstick of bench/grind.ts: keypairs a second of processor time that libsodium makes from
 * seeds, in one thread. One argument: for how many milliseconds. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
  if (argc != 2 || sodium_init() < 0) return 1;
  clock_t length = atol(argv[1]) * (CLOCKS_PER_SEC / 1000), begin = clock(), now = begin;
  unsigned char seed[crypto_sign_SEEDBYTES] = {0}, public_key[crypto_sign_PUBLICKEYBYTES];
  unsigned char secret_key[crypto_sign_SECRETKEYBYTES];
  long keys = 0;
  do {
    for (int i = 0; i < 100; i++, keys++) {
      crypto_sign_seed_keypair(public_key, secret_key, seed);
      /* The next seed depends on this key, so that nothing can be left out. */
      for (int j = 0; j < crypto_sign_SEEDBYTES; j++) seed[j] = public_key[j];
    }
    now = clock();
  } while (now - begin < length);
  printf("%.1f\n", keys / ((double)(now - begin) / CLOCKS_PER_SEC));
  return 0;
}
