/// Special functions of statistics, through Boost.Math, and normal noise from a counter. Nothing here throws, allocates
/// or keeps a state; arguments outside a function's domain give NaN.
#ifndef CSTATISTICS_H
#define CSTATISTICS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The regularised incomplete beta function I_x(a, b): the probability that a Beta(a, b) variable is at most x.
double cs_beta_cdf(double a, double b, double x);
/// 1 - I_x(a, b), without cancellation.
double cs_beta_upper_tail(double a, double b, double x);
/// The x with I_x(a, b) = p.
double cs_beta_quantile(double a, double b, double p);
/// The x with 1 - I_x(a, b) = p.
double cs_beta_upper_quantile(double a, double b, double p);

/// The probability that a standard normal variable is at most x.
double cs_normal_cdf(double x);
/// The x with cs_normal_cdf(x) = p; infinite at 0 and 1.
double cs_normal_quantile(double p);

/// The block `counter` of the generator Philox4x32-10 (Salmon et al. 2011) under `key`.
void cs_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/// Writes values[i] + scale * z_i for i < count, with z_i standard normal. In each group of 256 elements, z of element
/// 64 j + i is made from word j of the Philox block with key `seed` and counter (64 group + i, counter[0], counter[1],
/// counter[2]). The same on every machine. `values` may be NULL (zeros) and may be `out`.
void cs_add_normal(
    float *out, const float *values, size_t count, float scale, uint64_t seed, const uint32_t counter[3]);

#ifdef __cplusplus
}
#endif

#endif
