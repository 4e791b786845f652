// PDQ's blur and decimation along one side, as 64 short rows of weights.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace baken {

inline constexpr std::size_t pdq_side = 64;

// Rows of weights are padded with zeros to whole multiples of this, the widest vector of any instruction path.
inline constexpr std::size_t tap_padding = 16;

// Output i is the sum over k < count[i] of weights[i * padded_count + k] * input[first[i] + k].
struct TapRows {
  const std::size_t* first;
  const std::size_t* count;
  const float* weights;
  std::size_t padded_count;
};

struct Taps {
  std::array<std::size_t, pdq_side> first;
  std::array<std::size_t, pdq_side> count;
  std::size_t padded_count;
  std::vector<float> weights;

  // Plain pointers: the files of an instruction path must not instantiate standard templates, because the linker keeps one
  // copy of each for everybody, and that copy could hold instructions that the machine lacks.
  TapRows rows() const { return {first.data(), count.data(), weights.data(), padded_count}; }
};

// The taps for a side of `length_px` pixels. The peer blurs with two box filters, rows and columns in turn, and keeps 64
// samples a side; as all of it is linear and separable, what reaches a sample is one weighted sum for each direction.
Taps pdq_taps(std::size_t length_px);

// Taps that give for a side what `taps` would give for it read backwards. They differ from `taps` read backwards: an even
// window reaches further to one side, and samples are not taken at mirrored places.
Taps mirrored_taps(const Taps& taps, std::size_t length_px);

// The taps for the part of a side from `begin_px` to `end_px`, which need not be whole, as if the picture were larger by
// far: what two box filters come to then. They are the same read backwards when the part is, but for rounding.
Taps region_taps(std::size_t length_px, double begin_px, double end_px);

}  // namespace baken
