#include "engine/ops/fourier_transform.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace plica {
namespace {

using Complex = FourierTransform::Complex;

// A butterfly of a prime factor takes its square of operations.
constexpr int64_t kLargestFactor = 31;

// Factors in the order of the passes; empty when one is too large.
std::vector<int64_t> factorize(int64_t n) {
  std::vector<int64_t> factors;
  for (; n % 4 == 0; n /= 4) factors.push_back(4);
  for (int64_t p = 2; p <= kLargestFactor; ++p) {
    for (; n % p == 0; n /= p) factors.push_back(p);
  }
  if (n > 1) return {};
  if (factors.empty()) factors.push_back(1);
  return factors;
}

// exp(-2 pi i k / n) for 0 <= k < n.
Complex root(int64_t k, int64_t n) {
  const double angle = -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
  return {std::cos(angle), std::sin(angle)};
}

// Without the operator's care for infinities, which is a call for each product.
inline Complex times(Complex a, Complex b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}
inline Complex times_minus_i(Complex a) { return {a.imag(), -a.real()}; }

}  // namespace

FourierTransform::FourierTransform(int64_t length) : length_(length), factors_(factorize(length)) {
  const auto n = static_cast<size_t>(length);
  if (!factors_.empty()) {
    roots_.resize(n);
    for (size_t k = 0; k < n; ++k) roots_[k] = root(static_cast<int64_t>(k), length);
    return;
  }
  int64_t padded = 1;
  while (padded < 2 * length - 1) padded *= 2;
  convolution_ = std::make_unique<FourierTransform>(padded);
  chirp_.resize(n);
  kernel_.resize(static_cast<size_t>(padded));
  int64_t square = 0;  // k^2 modulo 2n
  for (size_t k = 0; k < n; ++k) {
    chirp_[k] = root(square, 2 * length);
    kernel_[k] = std::conj(chirp_[k]);
    if (k > 0) kernel_[kernel_.size() - k] = kernel_[k];
    square = (square + 2 * static_cast<int64_t>(k) + 1) % (2 * length);
  }
  Scratch scratch;
  convolution_->run(kernel_.data(), false, scratch);
}

void FourierTransform::run(Complex* x, bool inverse, Scratch& scratch) const {
  if (!inverse) return forward(x, scratch);
  // inverse(x) = conj(forward(conj(x))) / n
  for (int64_t i = 0; i < length_; ++i) x[i] = std::conj(x[i]);
  forward(x, scratch);
  const double scale = 1 / static_cast<double>(length_);
  for (int64_t i = 0; i < length_; ++i) x[i] = std::conj(x[i]) * scale;
}

void FourierTransform::forward(Complex* x, Scratch& scratch) const {
  if (factors_.empty()) {
    bluestein(x, scratch);
  } else {
    mixed_radix(x, scratch.work);
  }
}

// A pass of radix p over transforms of length p m, `stride` of them interleaved, makes p times as many of
// length m: with w = exp(-2 pi i / (p m)),
//   to[q + stride (p k + r)] = w^(k r) * sum over j of from[q + stride (k + m j)] exp(-2 pi i j r / p).
void FourierTransform::mixed_radix(Complex* x, std::vector<Complex>& work) const {
  work.resize(static_cast<size_t>(length_));
  Complex *from = x, *to = work.data();
  int64_t n = length_, stride = 1;
  for (const int64_t p : factors_) {
    const int64_t m = n / p;
    for (int64_t k = 0; k < m; ++k) {
      const Complex* in = from + stride * k;
      Complex* out = to + stride * p * k;
      const int64_t step = stride * m,
                    turn = k * stride;  // turn < n_total / p, so turn * r stays in the table
      if (p == 2) {
        const Complex w = roots_[static_cast<size_t>(turn)];
        for (int64_t q = 0; q < stride; ++q) {
          const Complex a = in[q], b = in[q + step];
          out[q] = a + b;
          out[q + stride] = times(a - b, w);
        }
      } else if (p == 4) {
        const Complex w1 = roots_[static_cast<size_t>(turn)], w2 = roots_[static_cast<size_t>(2 * turn)],
                      w3 = roots_[static_cast<size_t>(3 * turn)];
        for (int64_t q = 0; q < stride; ++q) {
          const Complex a = in[q], b = in[q + step], c = in[q + 2 * step], d = in[q + 3 * step];
          const Complex sum = a + c, difference = a - c, odd_sum = b + d,
                        odd_difference = times_minus_i(b - d);
          out[q] = sum + odd_sum;
          out[q + stride] = times(difference + odd_difference, w1);
          out[q + 2 * stride] = times(sum - odd_sum, w2);
          out[q + 3 * stride] = times(difference - odd_difference, w3);
        }
      } else {
        for (int64_t r = 0; r < p; ++r) {
          const Complex w = roots_[static_cast<size_t>(turn * r)];
          Complex* row = out + r * stride;
          for (int64_t q = 0; q < stride; ++q) row[q] = times(in[q], w);
          for (int64_t j = 1; j < p; ++j) {
            const Complex v = times(roots_[static_cast<size_t>(j * r % p * (length_ / p))], w);
            for (int64_t q = 0; q < stride; ++q) row[q] += times(in[q + j * step], v);
          }
        }
      }
    }
    std::swap(from, to);
    n = m;
    stride *= p;
  }
  if (from != x) std::copy_n(from, length_, x);
}

// j k = (j^2 + k^2 - (k - j)^2) / 2, so y[k] = c[k] * sum over j of (x[j] c[j]) conj(c[k - j]) with the chirp
// c[k] = exp(-pi i k^2 / n): a convolution, which is a product after a transform of padded length.
void FourierTransform::bluestein(Complex* x, Scratch& scratch) const {
  std::vector<Complex>& y = scratch.convolution;
  y.assign(kernel_.size(), Complex{});
  for (int64_t i = 0; i < length_; ++i)
    y[static_cast<size_t>(i)] = times(x[i], chirp_[static_cast<size_t>(i)]);
  convolution_->mixed_radix(y.data(), scratch.convolution_work);
  // The inverse transform, by conjugation.
  for (size_t i = 0; i < y.size(); ++i) y[i] = std::conj(times(y[i], kernel_[i]));
  convolution_->mixed_radix(y.data(), scratch.convolution_work);
  const double scale = 1 / static_cast<double>(y.size());
  for (int64_t i = 0; i < length_; ++i)
    x[i] = times(std::conj(y[static_cast<size_t>(i)]) * scale, chirp_[static_cast<size_t>(i)]);
}

}  // namespace plica
