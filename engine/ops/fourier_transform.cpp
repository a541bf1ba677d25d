#include "engine/ops/fourier_transform.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace plica {
namespace {

// A butterfly of a prime factor takes its square of operations.
constexpr int64_t kLargestFactor = 31;

// Factors in the order of the passes; empty when one is too large.
std::vector<int64_t> factorize(int64_t n) {
  std::vector<int64_t> factors;
  for (; n % 4 == 0; n /= 4) factors.push_back(4);
  for (int64_t p = 2; p <= kLargestFactor; ++p) {
    for (; n % p == 0; n /= p) factors.push_back(p);
  }
  if (n > 1) factors.clear();
  return factors;
}

// exp(-2 pi i k / n) for 0 <= k < n.
template <class Real>
std::complex<Real> root(int64_t k, int64_t n) {
  const double angle = -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
  return {static_cast<Real>(std::cos(angle)), static_cast<Real>(std::sin(angle))};
}

// Without the operator's care for infinities, which is a call for each product.
template <class Complex>
Complex times(Complex a, Complex b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}
template <class Complex>
Complex times_minus_i(Complex a) {
  return {a.imag(), -a.real()};
}

// One pass of radix p over transforms of length p m, `stride` of them interleaved, makes p times as many of
// length m: with w = exp(-2 pi i / (p m)),
//   to[q + stride (p k + r)] = w^(k r) * sum over j of from[q + stride (k + m j)] exp(-2 pi i j r / p).
template <class Complex>
struct Pass {
  int64_t m, stride, p;
  const Complex* roots;  // exp(-2 pi i k / (p m stride))

  void radix2(const Complex* in, Complex* out, int64_t turn) const {
    const Complex w = roots[turn];
    const int64_t step = stride * m;
    for (int64_t q = 0; q < stride; ++q) {
      const Complex a = in[q], b = in[q + step];
      out[q] = a + b;
      out[q + stride] = times(a - b, w);
    }
  }

  void radix4(const Complex* in, Complex* out, int64_t turn) const {
    const Complex w1 = roots[turn], w2 = roots[2 * turn], w3 = roots[3 * turn];
    const int64_t step = stride * m;
    for (int64_t q = 0; q < stride; ++q) {
      const Complex a = in[q], b = in[q + step], c = in[q + 2 * step], d = in[q + 3 * step];
      const Complex sum = a + c, difference = a - c, odd_sum = b + d, odd_difference = times_minus_i(b - d);
      out[q] = sum + odd_sum;
      out[q + stride] = times(difference + odd_difference, w1);
      out[q + 2 * stride] = times(sum - odd_sum, w2);
      out[q + 3 * stride] = times(difference - odd_difference, w3);
    }
  }

  // Terms j and p - j together: their sum times the cosine, their difference times the sine; and that serves
  // outputs r and p - r.
  void radix_odd(const Complex* in, Complex* out, int64_t turn) const {
    const int64_t half = p / 2, step = stride * m;
    std::array<Complex, kLargestFactor / 2 + 1> sum, difference;
    for (int64_t q = 0; q < stride; ++q) {
      const Complex first = in[q];
      Complex all = first;
      for (int64_t j = 1; j <= half; ++j) {
        const Complex a = in[q + j * step], b = in[q + (p - j) * step];
        sum[j] = a + b;
        difference[j] = a - b;
        all += sum[j];
      }
      out[q] = all;
      for (int64_t r = 1; r <= half; ++r) {
        Complex even = first, odd{};
        for (int64_t j = 1, at = r; j <= half; ++j, at = (at + r) % p) {
          const Complex turned = roots[at * stride * m];
          even += turned.real() * sum[j];
          odd += turned.imag() * difference[j];
        }
        odd = times_minus_i(odd);
        out[q + r * stride] = times(even - odd, roots[turn * r]);
        out[q + (p - r) * stride] = times(even + odd, roots[turn * (p - r)]);
      }
    }
  }

  void run(const Complex* from, Complex* to) const {
    for (int64_t k = 0; k < m; ++k) {
      const Complex* in = from + stride * k;
      Complex* out = to + stride * p * k;
      const int64_t turn = k * stride;  // turn * r is less than the number of roots
      p == 2 ? radix2(in, out, turn) : p == 4 ? radix4(in, out, turn) : radix_odd(in, out, turn);
    }
  }
};

}  // namespace

template <class Real>
FourierTransform<Real>::FourierTransform(int64_t length) : length_(length), factors_(factorize(length)) {
  const auto n = static_cast<size_t>(length);
  if (!factors_.empty() || n == 1) {
    roots_.resize(n);
    for (size_t k = 0; k < n; ++k) roots_[k] = root<Real>(static_cast<int64_t>(k), length);
    return;
  }
  int64_t padded = 1;
  while (padded < 2 * length - 1) padded *= 2;
  convolution_ = std::make_unique<FourierTransform>(padded);
  chirp_.resize(n);
  kernel_.resize(static_cast<size_t>(padded));
  int64_t square = 0;  // k^2 modulo 2n
  for (size_t k = 0; k < n; ++k) {
    chirp_[k] = root<Real>(square, 2 * length);
    kernel_[k] = std::conj(chirp_[k]);
    if (k > 0) kernel_[kernel_.size() - k] = kernel_[k];
    square = (square + 2 * static_cast<int64_t>(k) + 1) % (2 * length);
  }
  std::vector<Complex> work;
  convolution_->mixed_radix(kernel_.data(), work);
}

template <class Real>
void FourierTransform<Real>::run(Complex* x, bool inverse, Scratch& scratch) const {
  if (!inverse) return forward(x, scratch);
  // inverse(x) = conj(forward(conj(x))) / n
  for (int64_t i = 0; i < length_; ++i) x[i] = std::conj(x[i]);
  forward(x, scratch);
  const Real scale = 1 / static_cast<Real>(length_);
  for (int64_t i = 0; i < length_; ++i) x[i] = std::conj(x[i]) * scale;
}

template <class Real>
void FourierTransform<Real>::forward(Complex* x, Scratch& scratch) const {
  convolution_ ? bluestein(x, scratch) : mixed_radix(x, scratch.work);
}

template <class Real>
void FourierTransform<Real>::mixed_radix(Complex* x, std::vector<Complex>& work) const {
  work.resize(static_cast<size_t>(length_));
  Complex *from = x, *to = work.data();
  int64_t n = length_, stride = 1;
  for (const int64_t p : factors_) {
    n /= p;
    Pass<Complex>{n, stride, p, roots_.data()}.run(from, to);
    std::swap(from, to);
    stride *= p;
  }
  if (from != x) std::copy_n(from, length_, x);
}

// j k = (j^2 + k^2 - (k - j)^2) / 2, so y[k] = c[k] * sum over j of (x[j] c[j]) conj(c[k - j]) with the chirp
// c[k] = exp(-pi i k^2 / n): a convolution, which is a product after a transform of padded length.
template <class Real>
void FourierTransform<Real>::bluestein(Complex* x, Scratch& scratch) const {
  std::vector<Complex>& y = scratch.convolution;
  y.assign(kernel_.size(), Complex{});
  for (size_t i = 0; i < chirp_.size(); ++i) y[i] = times(x[i], chirp_[i]);
  convolution_->mixed_radix(y.data(), scratch.work);
  // The inverse transform, by conjugation.
  for (size_t i = 0; i < y.size(); ++i) y[i] = std::conj(times(y[i], kernel_[i]));
  convolution_->mixed_radix(y.data(), scratch.work);
  const Real scale = 1 / static_cast<Real>(y.size());
  for (size_t i = 0; i < chirp_.size(); ++i) x[i] = times(std::conj(y[i]) * scale, chirp_[i]);
}

template class FourierTransform<float>;
template class FourierTransform<double>;

}  // namespace plica
