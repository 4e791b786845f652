#include "pdq_orientations.hpp"

#include <algorithm>

namespace baken {
namespace {

// One bit for each coefficient: bit j of word i stands for row i, column j.
using BitRows = std::array<uint16_t, dct_side>;

// The lower of the two middle values, as the peer's search gives it.
float lower_median(Coefficients values) {
  const auto middle = values.begin() + (values.size() / 2 - 1);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

BitRows bits_above_median(const Coefficients& values) {
  const float median = lower_median(values);
  BitRows rows{};
  for (std::size_t i = 0; i < dct_side; ++i) {
    for (std::size_t j = 0; j < dct_side; ++j) {
      rows[i] = static_cast<uint16_t>(rows[i] | (values[i * dct_side + j] > median ? 1U << j : 0U));
    }
  }
  return rows;
}

BitRows transposed(const BitRows& rows) {
  BitRows result{};
  for (std::size_t i = 0; i < dct_side; ++i) {
    for (std::size_t j = 0; j < dct_side; ++j) {
      result[j] = static_cast<uint16_t>(result[j] | ((rows[i] >> j & 1U) << i));
    }
  }
  return result;
}

// The usual hex text prints the last row first, each row as one 16-bit number.
PdqCode code_of(const BitRows& rows) {
  PdqCode code;
  for (std::size_t i = 0; i < dct_side; ++i) {
    const uint16_t row = rows[dct_side - 1 - i];
    code[2 * i] = static_cast<uint8_t>(row >> 8);
    code[2 * i + 1] = static_cast<uint8_t>(row & 0xFF);
  }
  return code;
}

}  // namespace

// The four mirrorings and their transposes are the eight orientations: undoing a quarter turn clockwise, for example, is
// mirroring left to right, then transposing. Transposing pixels transposes the DCT, and so the bits.
std::array<PdqCode, pdq_orientation_count> pdq_orientations(const MirroredCoefficients& mirrored) {
  const BitRows as_is = bits_above_median(mirrored.as_is);
  const BitRows left_right = bits_above_median(mirrored.left_right);
  const BitRows top_bottom = bits_above_median(mirrored.top_bottom);
  const BitRows both = bits_above_median(mirrored.both);
  return {
      code_of(as_is),                   // identity
      code_of(transposed(left_right)),  // rotated 90
      code_of(both),                    // rotated 180
      code_of(transposed(top_bottom)),  // rotated 270
      code_of(left_right),              // mirrored
      code_of(transposed(both)),        // mirrored, rotated 90
      code_of(top_bottom),              // mirrored, rotated 180
      code_of(transposed(as_is)),       // mirrored, rotated 270
  };
}

}  // namespace baken
