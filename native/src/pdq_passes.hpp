// The three passes of PDQ that take time, written once over a `Lane`: a handful of floats and what can be done with them.
// Each instruction path gives its own Lane, inside an unnamed namespace: that keeps its instances out of the other paths.
//
// All paths add the same numbers in the same order and round after each step (no fused multiply-add), so all give the same
// bits; the DCT also adds in the peer's order, so that equal pixels give equal codes even where a coefficient is a tie.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pdq_orientations.hpp"
#include "pdq_taps.hpp"

namespace baken {

inline constexpr std::size_t rows_at_once = 4;

// The DCT matrix in both orders: `rows` is 16 x 64, `columns` its transpose, 64 x 16.
struct DctMatrix {
  float rows[dct_side * pdq_side];
  float columns[pdq_side * dct_side];
};

struct PdqPasses {
  // sums[x] += weights[0] * rows[0][x] + ... + weights[3] * rows[3][x] for every x < width.
  void (*add_rows)(const uint8_t* const* rows, const float* weights, float* sums, std::size_t width);
  // out[j] = the weighted sum of `sums` that `taps` asks for; `sums` has `tap_padding` readable numbers past its end.
  void (*weigh_columns)(const float* sums, const TapRows& taps, float* out);
  // out (16 x 16) = matrix (16 x 64) * pixels (64 x 64) * transposed matrix.
  void (*dct)(const DctMatrix& matrix, const float* pixels, float* out);
};

const PdqPasses& pdq_passes_scalar();
const PdqPasses& pdq_passes_avx2();
const PdqPasses& pdq_passes_avx512();

template <class Lane>
void add_rows(const uint8_t* const* rows, const float* weights, float* __restrict sums, std::size_t width) {
  const uint8_t* __restrict row0 = rows[0];
  const uint8_t* __restrict row1 = rows[1];
  const uint8_t* __restrict row2 = rows[2];
  const uint8_t* __restrict row3 = rows[3];
  const auto weight0 = Lane::fill(weights[0]);
  const auto weight1 = Lane::fill(weights[1]);
  const auto weight2 = Lane::fill(weights[2]);
  const auto weight3 = Lane::fill(weights[3]);
  std::size_t x = 0;
  for (; x + Lane::width <= width; x += Lane::width) {
    auto sum = Lane::load(sums + x);
    sum = Lane::add(sum, Lane::multiply(weight0, Lane::load_bytes(row0 + x)));
    sum = Lane::add(sum, Lane::multiply(weight1, Lane::load_bytes(row1 + x)));
    sum = Lane::add(sum, Lane::multiply(weight2, Lane::load_bytes(row2 + x)));
    sum = Lane::add(sum, Lane::multiply(weight3, Lane::load_bytes(row3 + x)));
    Lane::store(sums + x, sum);
  }
  for (; x < width; ++x) {
    sums[x] = sums[x] + weights[0] * row0[x] + weights[1] * row1[x] + weights[2] * row2[x] + weights[3] * row3[x];
  }
}

// Sums in `tap_padding` separate columns, however wide the Lane is, and folds these in halves.
template <class Lane>
void weigh_columns(const float* sums, const TapRows& taps, float* out) {
  constexpr std::size_t lanes = tap_padding / Lane::width;
  const float* weights = taps.weights;
  for (std::size_t output = 0; output < pdq_side; ++output, weights += taps.padded_count) {
    const float* inputs = sums + taps.first[output];
    typename Lane::Floats columns[lanes];
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      columns[lane] = Lane::fill(0.0F);
    }
    for (std::size_t k = 0; k < taps.count[output]; k += tap_padding) {
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        const std::size_t at = k + lane * Lane::width;
        columns[lane] = Lane::add(columns[lane], Lane::multiply(Lane::load(weights + at), Lane::load(inputs + at)));
      }
    }
    out[output] = Lane::fold(columns);
  }
}

// out (16 x columns) = left (16 x 64) * right (64 x columns), four rows at once so that sums stay in registers.
template <class Lane, std::size_t columns>
void matrix_product(const float* left, const float* right, float* out) {
  for (std::size_t i = 0; i < dct_side; i += rows_at_once) {
    for (std::size_t j = 0; j < columns; j += Lane::width) {
      auto sum0 = Lane::fill(0.0F);
      auto sum1 = sum0;
      auto sum2 = sum0;
      auto sum3 = sum0;
      for (std::size_t k = 0; k < pdq_side; ++k) {
        const auto values = Lane::load(right + k * columns + j);
        sum0 = Lane::add(sum0, Lane::multiply(Lane::fill(left[i * pdq_side + k]), values));
        sum1 = Lane::add(sum1, Lane::multiply(Lane::fill(left[(i + 1) * pdq_side + k]), values));
        sum2 = Lane::add(sum2, Lane::multiply(Lane::fill(left[(i + 2) * pdq_side + k]), values));
        sum3 = Lane::add(sum3, Lane::multiply(Lane::fill(left[(i + 3) * pdq_side + k]), values));
      }
      Lane::store(out + i * columns + j, sum0);
      Lane::store(out + (i + 1) * columns + j, sum1);
      Lane::store(out + (i + 2) * columns + j, sum2);
      Lane::store(out + (i + 3) * columns + j, sum3);
    }
  }
}

template <class Lane>
void dct(const DctMatrix& matrix, const float* pixels, float* out) {
  float half[dct_side * pdq_side];
  matrix_product<Lane, pdq_side>(matrix.rows, pixels, half);
  matrix_product<Lane, dct_side>(half, matrix.columns, out);
}

template <class Lane>
constexpr PdqPasses passes_over() {
  return {add_rows<Lane>, weigh_columns<Lane>, dct<Lane>};
}

}  // namespace baken
