#include "cstatistics.h"

#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/erf.hpp>
#include <cmath>
#include <limits>

namespace {

using namespace boost::math::policies;
using quiet = policy<
    domain_error<ignore_error>, pole_error<ignore_error>, overflow_error<ignore_error>, underflow_error<ignore_error>,
    denorm_error<ignore_error>, rounding_error<ignore_error>, evaluation_error<ignore_error>>;

template <class F>
double guarded(F f) noexcept {
  try {
    return f();
  } catch (...) {
    return std::numeric_limits<double>::quiet_NaN();
  }
}

}  // namespace

double cs_beta_cdf(double a, double b, double x) {
  return guarded([=] { return boost::math::ibeta(a, b, x, quiet()); });
}

double cs_beta_upper_tail(double a, double b, double x) {
  return guarded([=] { return boost::math::ibetac(a, b, x, quiet()); });
}

double cs_beta_quantile(double a, double b, double p) {
  return guarded([=] { return boost::math::ibeta_inv(a, b, p, quiet()); });
}

double cs_beta_upper_quantile(double a, double b, double p) {
  return guarded([=] { return boost::math::ibetac_inv(a, b, p, quiet()); });
}

double cs_normal_cdf(double x) {
  return guarded([=] { return boost::math::erfc(-x / std::sqrt(2.0), quiet()) / 2; });
}

double cs_normal_quantile(double p) {
  if (p == 0 || p == 1) return p == 0 ? -INFINITY : INFINITY;
  return guarded([=] { return -std::sqrt(2.0) * boost::math::erfc_inv(2 * p, quiet()); });
}
