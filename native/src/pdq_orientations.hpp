// The eight codes of one picture from the DCTs of its four mirrorings.
#pragma once

#include <array>

#include "baken/pdq.hpp"

namespace baken {

inline constexpr std::size_t dct_side = 16;

// 16 x 16 numbers by rows.
using Coefficients = std::array<float, dct_side * dct_side>;

struct MirroredCoefficients {
  Coefficients as_is;
  Coefficients left_right;
  Coefficients top_bottom;
  Coefficients both;
};

// The codes stand in the order that `Pdq` documents.
std::array<PdqCode, pdq_orientation_count> pdq_orientations(const MirroredCoefficients& mirrored);

}  // namespace baken
