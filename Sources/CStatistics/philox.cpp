#include "cstatistics.h"

#include <cmath>
#include <cstring>

// Rounding must not depend on the processor's instructions.
#pragma STDC FP_CONTRACT OFF

// The same code for wider vectors, chosen when the program starts.
#if defined(__x86_64__) && defined(__linux__) && defined(__clang__)
#define WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDE
#endif

namespace {

/// One round on the counter (a, b, c, d).
inline void mix(uint32_t &a, uint32_t &b, uint32_t &c, uint32_t &d, uint32_t k0, uint32_t k1) {
  const uint64_t p = uint64_t(0xD2511F53u) * a;
  const uint64_t q = uint64_t(0xCD9E8D57u) * c;
  a = uint32_t(q >> 32) ^ b ^ k0;
  b = uint32_t(q);
  c = uint32_t(p >> 32) ^ d ^ k1;
  d = uint32_t(p);
}

inline void philox(uint32_t &a, uint32_t &b, uint32_t &c, uint32_t &d, uint32_t k0, uint32_t k1) {
#pragma clang loop unroll(full)
  for (uint32_t round = 0; round < 10; ++round)
    mix(a, b, c, d, k0 + round * 0x9E3779B9u, k1 + round * 0xBB67AE85u);
}

/// log(x) of a positive normal x, to about 1e-7: exponent and mantissa apart, the latter by Cephes' polynomial.
inline float logarithm(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  const uint32_t shifted = bits - 0x3F3504F3u;  // mantissas from √½ to √2
  const float exponent = float(int32_t(shifted) >> 23);
  bits = (shifted & 0x007FFFFFu) + 0x3F3504F3u;
  float m;
  std::memcpy(&m, &bits, 4);
  m -= 1;
  const float z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  return (exponent * -2.12194440e-4f + (p * m * z - 0.5f * z)) + m + exponent * 0.693359375f;
}

/// A standard normal value from 32 random bits: the lowest is the sign, the others a tail probability u in (0, 1),
/// through Giles' (2010) single-precision inverse error function of 1 - u.
inline float normal(uint32_t bits) {
  const float u = (float(int32_t(bits >> 1)) + 0.5f) * 0x1p-31f;
  const float w = -logarithm(u * (2 - u));
  const float c = w - 2.5f;
  float near = 2.81022636e-08f;
  near = near * c + 3.43273939e-07f;
  near = near * c - 3.5233877e-06f;
  near = near * c - 4.39150654e-06f;
  near = near * c + 0.00021858087f;
  near = near * c - 0.00125372503f;
  near = near * c - 0.00417768164f;
  near = near * c + 0.246640727f;
  near = near * c + 1.50140941f;
  const float s = std::sqrt(w < 0 ? 0 : w) - 3;
  float far = -0.000200214257f;
  far = far * s + 0.000100950558f;
  far = far * s + 0.00134934322f;
  far = far * s - 0.00367342844f;
  far = far * s + 0.00573950773f;
  far = far * s - 0.0076224613f;
  far = far * s + 0.00943887047f;
  far = far * s + 1.00167406f;
  far = far * s + 2.83297682f;
  const float z = (w < 5 ? near : far) * (1 - u) * 1.41421356f;
  return bits & 1 ? -z : z;
}

constexpr uint32_t width = 64;

/// `width` blocks from `first` on: all their first words, then all their second ones, and so on.
WIDE void normals(
    uint32_t first, uint32_t k0, uint32_t k1, uint32_t c1, uint32_t c2, uint32_t c3, float *__restrict out) {
#pragma clang loop vectorize(enable) interleave(disable)
  for (uint32_t i = 0; i < width; ++i) {
    uint32_t a = first + i, b = c1, c = c2, d = c3;
    philox(a, b, c, d, k0, k1);
    out[i] = normal(a);
    out[width + i] = normal(b);
    out[2 * width + i] = normal(c);
    out[3 * width + i] = normal(d);
  }
}

}  // namespace

void cs_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  std::memcpy(out, counter, 4 * sizeof *out);
  philox(out[0], out[1], out[2], out[3], key[0], key[1]);
}

void cs_add_normal(
    float *out, const float *values, size_t count, float scale, uint64_t seed, const uint32_t counter[3]) {
  float noise[4 * width];
  for (size_t start = 0; start < count; start += 4 * width) {
    normals(
        uint32_t(start / 4), uint32_t(seed), uint32_t(seed >> 32), counter[0], counter[1], counter[2], noise);
    const size_t rest = count - start < 4 * width ? count - start : 4 * width;
    for (size_t i = 0; i < rest; ++i) out[start + i] = (values ? values[start + i] : 0) + scale * noise[i];
  }
}
