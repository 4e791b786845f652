#include "baken/pdq.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "baken/cpu.hpp"
#include "pdq_pixels.hpp"

namespace baken {
namespace {

struct Luma {
  const uint8_t* data;
  std::size_t height_px;
  std::size_t width_px;
  std::ptrdiff_t row_stride_bytes;

  const uint8_t* row(std::size_t y) const { return data + static_cast<std::ptrdiff_t>(y) * row_stride_bytes; }
};

void check_side(const char* name, std::size_t side_px) {
  if (side_px < pdq_min_side_px) {
    throw std::invalid_argument(std::string(name) + ": got " + std::to_string(side_px) + " px, expected at least " +
                                std::to_string(pdq_min_side_px) +
                                "; PDQ sees nothing in so small a picture, treat it as one that cannot be compared.");
  }
}

DctMatrix make_dct_matrix() {
  DctMatrix matrix{};
  const auto scale = static_cast<float>(std::sqrt(2.0 / pdq_side));
  for (std::size_t i = 0; i < dct_side; ++i) {
    for (std::size_t j = 0; j < pdq_side; ++j) {
      const double angle = std::numbers::pi / 2.0 / pdq_side * static_cast<double>((i + 1) * (2 * j + 1));
      const auto value = static_cast<float>(scale * std::cos(angle));
      matrix.rows[i * pdq_side + j] = value;
      matrix.columns[j * dct_side + i] = value;
    }
  }
  return matrix;
}

const DctMatrix& dct_matrix() {
  static const DctMatrix matrix = make_dct_matrix();
  return matrix;
}

// The picture as it is, mirrored left to right, mirrored top to bottom, and mirrored both ways, each at 64 x 64.
struct MirroredPixels {
  Pixels as_is;
  Pixels left_right;
  Pixels top_bottom;
  Pixels both;
};

// Shrinks a picture row by row of the result. Down first, as bytes, then across: what is left to sum across is 64 rows.
class Shrinker {
 public:
  explicit Shrinker(const Luma& luma)
      : luma_(luma),
        passes_(active_passes()),
        across_(pdq_taps(luma.width_px)),
        across_mirrored_(mirrored_taps(across_, luma.width_px)),
        sums_(luma.width_px + tap_padding) {}

  void shrink_row(const Taps& down, std::size_t output, Pixels& pixels, Pixels& left_right) {
    std::fill(sums_.begin(), sums_.end(), 0.0F);
    add_rows(down, output);
    passes_.weigh_columns(sums_.data(), across_.rows(), pixels.data() + output * pdq_side);
    passes_.weigh_columns(sums_.data(), across_mirrored_.rows(), left_right.data() + output * pdq_side);
  }

 private:
  // Four rows at a time; the last four are filled up with rows of weight 0.
  void add_rows(const Taps& down, std::size_t output) {
    const float* weights = down.weights.data() + output * down.padded_count;
    const std::size_t last = down.first[output] + down.count[output] - 1;
    for (std::size_t k = 0; k < down.count[output]; k += rows_at_once) {
      const uint8_t* rows[rows_at_once];
      for (std::size_t r = 0; r < rows_at_once; ++r) {
        rows[r] = luma_.row(std::min(down.first[output] + k + r, last));
      }
      passes_.add_rows(rows, weights + k, sums_.data(), luma_.width_px);
    }
  }

  Luma luma_;
  const PdqPasses& passes_;
  Taps across_;
  Taps across_mirrored_;
  std::vector<float> sums_;
};

// Row i from the top and, for the picture upside down, row i from its bottom read nearly the same input rows: doing them
// together reads memory once.
MirroredPixels shrink(const Luma& luma) {
  const Taps down = pdq_taps(luma.height_px);
  const Taps down_mirrored = mirrored_taps(down, luma.height_px);
  Shrinker shrinker(luma);
  MirroredPixels pixels;
  for (std::size_t output = 0; output < pdq_side; ++output) {
    shrinker.shrink_row(down, output, pixels.as_is, pixels.left_right);
    shrinker.shrink_row(down_mirrored, pdq_side - 1 - output, pixels.top_bottom, pixels.both);
  }
  return pixels;
}

// A step between neighbours in percent of the full range, cut to an integer before it is summed: as the peer does it.
int step_percent(float left, float right) { return std::abs(static_cast<int>((left - right) * 100.0F / 255.0F)); }

}  // namespace

const PdqPasses& active_passes() {
#if defined(__x86_64__)
  switch (active_path()) {
    case InstructionPath::avx512: return pdq_passes_avx512();
    case InstructionPath::avx2: return pdq_passes_avx2();
    case InstructionPath::scalar: break;
  }
#endif
  return pdq_passes_scalar();
}

Coefficients dct(const Pixels& pixels) {
  Coefficients coefficients;
  active_passes().dct(dct_matrix(), pixels.data(), coefficients.data());
  return coefficients;
}

int quality_percent(const Pixels& pixels) {
  int steps = 0;
  for (std::size_t k = 0; k < pdq_side * (pdq_side - 1); ++k) {
    steps += step_percent(pixels[k], pixels[k + pdq_side]);
  }
  for (std::size_t i = 0; i < pdq_side; ++i) {
    for (std::size_t k = i * pdq_side; k < (i + 1) * pdq_side - 1; ++k) {
      steps += step_percent(pixels[k], pixels[k + 1]);
    }
  }
  constexpr int steps_per_percent = 90;  // pdqImageDomainQualityMetric in ThreatExchange's pdqhashing.cpp
  return std::min(steps / steps_per_percent, 100);
}

Pdq pdq(const uint8_t* luma, std::size_t height_px, std::size_t width_px, std::ptrdiff_t row_stride_bytes) {
  check_side("height", height_px);
  check_side("width", width_px);
  const MirroredPixels pixels = shrink({luma, height_px, width_px, row_stride_bytes});
  const MirroredCoefficients coefficients = {dct(pixels.as_is), dct(pixels.left_right), dct(pixels.top_bottom),
                                             dct(pixels.both)};
  return {pdq_orientations(coefficients), quality_percent(pixels.as_is)};
}

}  // namespace baken
