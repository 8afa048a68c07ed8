/* The parts of the field that are rare enough to be called. See field.h. */
#include "field.h"

void fe_to_bytes(uint8_t bytes[32], fe a) {
  uint64_t w[4];
  fe_to_words(w, a);
  for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)(w[i / 8] >> (8 * (i % 8)));
}

bool fe_is_zero(fe a) {
  uint64_t w[4];
  fe_to_words(w, a);
  return (w[0] | w[1] | w[2] | w[3]) == 0;
}

static fe square_times(fe a, int times) {
  for (int i = 0; i < times; i++) a = fe_square(a);
  return a;
}

/* p - 2 = 2^255 - 21: runs of ones by doubling their length, then the bits 01011. */
fe fe_invert(fe a) {
  fe a2 = fe_square(a);
  fe a9 = fe_mul(square_times(a2, 2), a);
  fe a11 = fe_mul(a9, a2);
  fe ones5 = fe_mul(fe_square(a11), a9); /* a^(2^5 - 1), and so on */
  fe ones10 = fe_mul(square_times(ones5, 5), ones5);
  fe ones20 = fe_mul(square_times(ones10, 10), ones10);
  fe ones40 = fe_mul(square_times(ones20, 20), ones20);
  fe ones50 = fe_mul(square_times(ones40, 10), ones10);
  fe ones100 = fe_mul(square_times(ones50, 50), ones50);
  fe ones200 = fe_mul(square_times(ones100, 100), ones100);
  fe ones250 = fe_mul(square_times(ones200, 50), ones50);
  return fe_mul(square_times(ones250, 5), a11);
}
