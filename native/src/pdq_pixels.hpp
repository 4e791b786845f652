// What `pdq` and `pdq_regions` do with a picture once it is 64 x 64.
#pragma once

#include <array>

#include "pdq_orientations.hpp"
#include "pdq_passes.hpp"
#include "pdq_taps.hpp"

namespace baken {

// 64 x 64 samples by rows.
using Pixels = std::array<float, pdq_side * pdq_side>;

// The passes of the instruction path that is active now.
const PdqPasses& active_passes();

Coefficients dct(const Pixels& pixels);

// 0 to 100: how much detail the samples carry.
int quality_percent(const Pixels& pixels);

}  // namespace baken
