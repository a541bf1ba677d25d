// The discrete Fourier transform of any length in O(n log n): y[k] = sum over j of x[j] exp(-2 pi i j k / n).
// Lengths with small prime factors by Stockham's mixed-radix algorithm, which orders its own output (Cochran
// et al., "What is the Fast Fourier Transform?", 1967); others as a convolution (Bluestein, "A linear
// filtering approach to the computation of discrete Fourier transform", 1970).
//
// Immutable once made: safe from many threads, each with a Scratch of its own.
#pragma once

#include <complex>
#include <cstdint>
#include <memory>
#include <vector>

namespace plica {

template <class Real>  // float or double
class FourierTransform {
 public:
  using Complex = std::complex<Real>;

  // What a transform writes to beside its output; made once, used for any number of transforms.
  struct Scratch {
    std::vector<Complex> work, convolution;
  };

  explicit FourierTransform(int64_t length);  // 1 or more

  int64_t length() const { return length_; }
  // In place. `inverse`: with exp(+...), and divided by n.
  void run(Complex* x, bool inverse, Scratch& scratch) const;

 private:
  void forward(Complex* x, Scratch& scratch) const;
  void mixed_radix(Complex* x, std::vector<Complex>& work) const;
  void bluestein(Complex* x, Scratch& scratch) const;

  int64_t length_;
  std::vector<int64_t> factors_;  // empty: by Bluestein, or length 1
  std::vector<Complex> roots_;    // exp(-2 pi i k / n)
  // Of Bluestein: exp(-pi i k^2 / n), and the transform of its conjugate, padded.
  std::vector<Complex> chirp_, kernel_;
  std::unique_ptr<FourierTransform> convolution_;
};

}  // namespace plica
