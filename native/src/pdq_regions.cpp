// PDQ of parts of a picture, tilted or not, at places that need not be whole pixels.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "baken/pdq.hpp"
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

// A region in pixels.
struct Box {
  double left;
  double top;
  double right;
  double bottom;
};

// How many samples a side of a tilted region is read at, before PDQ's own filter: four for each of its 64 steps.
constexpr std::size_t tilted_side = 4 * pdq_side;

void check_region(const PdqRegion& region) {
  const bool is_finite = std::isfinite(region.left) && std::isfinite(region.top) && std::isfinite(region.right) &&
                         std::isfinite(region.bottom) && std::isfinite(region.tilt_degrees);
  if (!is_finite || region.right <= region.left || region.bottom <= region.top) {
    throw std::invalid_argument("regions: got left " + std::to_string(region.left) + ", top " + std::to_string(region.top) +
                                ", right " + std::to_string(region.right) + ", bottom " + std::to_string(region.bottom) +
                                ", tilt " + std::to_string(region.tilt_degrees) +
                                "; expected finite numbers with left < right and top < bottom; leave such a region out.");
  }
}

Box in_pixels(const PdqRegion& region, const Luma& luma) {
  const auto width = static_cast<double>(luma.width_px);
  const auto height = static_cast<double>(luma.height_px);
  return {region.left * width, region.top * height, region.right * width, region.bottom * height};
}

bool lies_inside(const PdqRegion& region) {
  return region.tilt_degrees == 0.0 && region.left >= 0.0 && region.top >= 0.0 && region.right <= 1.0 && region.bottom <= 1.0;
}

Pixels shrink(const Luma& luma, const Box& box) {
  const Taps down = region_taps(luma.height_px, box.top, box.bottom);
  Taps across = region_taps(luma.width_px, box.left, box.right);
  const std::size_t begin = across.first.front();
  const std::size_t end = across.first.back() + across.count.back();
  for (std::size_t& first : across.first) {
    first -= begin;
  }
  const PdqPasses& passes = active_passes();
  std::vector<float> sums(end - begin + tap_padding + across.padded_count);
  Pixels pixels;
  for (std::size_t output = 0; output < pdq_side; ++output) {
    std::fill(sums.begin(), sums.end(), 0.0F);
    const float* weights = down.weights.data() + output * down.padded_count;
    const std::size_t last = down.first[output] + down.count[output] - 1;
    for (std::size_t k = 0; k < down.count[output]; k += rows_at_once) {
      const uint8_t* rows[rows_at_once];
      for (std::size_t r = 0; r < rows_at_once; ++r) {
        rows[r] = luma.row(std::min(down.first[output] + k + r, last)) + begin;
      }
      passes.add_rows(rows, weights + k, sums.data(), end - begin);
    }
    passes.weigh_columns(sums.data(), across.rows(), pixels.data() + output * pdq_side);
  }
  return pixels;
}

// A place between four pixels.
struct Place {
  double x;
  double y;
};

// The luma there, black or that of the nearest pixel outside of the picture.
double between(const Luma& luma, Place place, Beyond beyond) {
  if (beyond == Beyond::edge) {
    place.x = std::clamp(place.x, 0.0, static_cast<double>(luma.width_px) - 1.0);
    place.y = std::clamp(place.y, 0.0, static_cast<double>(luma.height_px) - 1.0);
  }
  const double left = std::floor(place.x);
  const double top = std::floor(place.y);
  const auto at = [&luma](double column, double row) {
    const bool is_inside = column >= 0.0 && row >= 0.0 && column < static_cast<double>(luma.width_px) &&
                           row < static_cast<double>(luma.height_px);
    return is_inside ? static_cast<double>(luma.row(static_cast<std::size_t>(row))[static_cast<std::size_t>(column)]) : 0.0;
  };
  const double right_share = place.x - left;
  const double above = at(left, top) + (at(left + 1.0, top) - at(left, top)) * right_share;
  const double below = at(left, top + 1.0) + (at(left + 1.0, top + 1.0) - at(left, top + 1.0)) * right_share;
  return above + (below - above) * (place.y - top);
}

// The same where all four pixels are in the picture.
float between_inside(const Luma& luma, float x, float y) {
  const auto left = static_cast<int32_t>(x);
  const auto top = static_cast<int32_t>(y);
  const uint8_t* upper = luma.row(static_cast<std::size_t>(top)) + left;
  const uint8_t* lower = upper + luma.row_stride_bytes;
  const float right_share = x - static_cast<float>(left);
  const float above = static_cast<float>(upper[0]) + static_cast<float>(upper[1] - upper[0]) * right_share;
  const float below = static_cast<float>(lower[0]) + static_cast<float>(lower[1] - lower[0]) * right_share;
  return above + (below - above) * (y - static_cast<float>(top));
}

bool has_all_four(const Luma& luma, Place place) {
  return place.x >= 0.0 && place.y >= 0.0 && place.x < static_cast<double>(luma.width_px) * (1.0 - 1e-6) - 1.01 &&
         place.y < static_cast<double>(luma.height_px) * (1.0 - 1e-6) - 1.01;
}

// The region turned upright, `tilted_side` samples a side.
std::vector<uint8_t> upright(const Luma& luma, const Box& box, double tilt_degrees, Beyond beyond) {
  const double angle = tilt_degrees * std::numbers::pi / 180.0;
  const double cosine = std::cos(angle);
  const double sine = std::sin(angle);
  const double step_x = (box.right - box.left) / static_cast<double>(tilted_side);
  const double step_y = (box.bottom - box.top) / static_cast<double>(tilted_side);
  constexpr double middle = static_cast<double>(tilted_side) / 2.0;
  const auto place_of = [&](std::size_t row, std::size_t column) {
    const double across = (static_cast<double>(column) + 0.5 - middle) * step_x;
    const double down = (static_cast<double>(row) + 0.5 - middle) * step_y;
    // A pixel's middle lies half a pixel after its corner.
    return Place{(box.left + box.right) / 2.0 + across * cosine - down * sine - 0.5,
                 (box.top + box.bottom) / 2.0 + across * sine + down * cosine - 0.5};
  };
  const auto along_x = static_cast<float>(step_x * cosine);
  const auto along_y = static_cast<float>(step_x * sine);
  std::vector<uint8_t> samples(tilted_side * tilted_side);
  for (std::size_t row = 0; row < tilted_side; ++row) {
    uint8_t* to = samples.data() + row * tilted_side;
    // A row is a straight line: what is inside of it is one piece, and a piece between two places inside is inside.
    std::size_t begin = 0;
    std::size_t end = tilted_side;
    for (; begin < end && !has_all_four(luma, place_of(row, begin)); ++begin) {
      to[begin] = static_cast<uint8_t>(between(luma, place_of(row, begin), beyond) + 0.5);
    }
    for (; end > begin && !has_all_four(luma, place_of(row, end - 1)); --end) {
      to[end - 1] = static_cast<uint8_t>(between(luma, place_of(row, end - 1), beyond) + 0.5);
    }
    const Place first = place_of(row, begin);
    for (std::size_t column = begin; column < end; ++column) {
      const auto steps = static_cast<float>(column - begin);
      const float x = static_cast<float>(first.x) + steps * along_x;
      const float y = static_cast<float>(first.y) + steps * along_y;
      to[column] = static_cast<uint8_t>(between_inside(luma, std::max(x, 0.0F), std::max(y, 0.0F)) + 0.5F);
    }
  }
  return samples;
}

Pixels pixels_of(const Luma& luma, const PdqRegion& region, Beyond beyond) {
  const Box box = in_pixels(region, luma);
  if (lies_inside(region)) {
    return shrink(luma, box);
  }
  const std::vector<uint8_t> samples = upright(luma, box, region.tilt_degrees, beyond);
  const Luma turned{samples.data(), tilted_side, tilted_side, static_cast<std::ptrdiff_t>(tilted_side)};
  constexpr auto side = static_cast<double>(tilted_side);
  return shrink(turned, {0.0, 0.0, side, side});
}

// The filter is even-handed here, so that mirroring the picture only turns the signs of its odd waves: coefficient j is
// of j + 1 half waves.
MirroredCoefficients mirrorings(const Coefficients& as_is) {
  MirroredCoefficients mirrored{as_is, as_is, as_is, as_is};
  for (std::size_t i = 0; i < dct_side; ++i) {
    for (std::size_t j = 0; j < dct_side; ++j) {
      const std::size_t k = i * dct_side + j;
      const bool turns_across = j % 2 == 0;
      const bool turns_down = i % 2 == 0;
      mirrored.left_right[k] = turns_across ? -as_is[k] : as_is[k];
      mirrored.top_bottom[k] = turns_down ? -as_is[k] : as_is[k];
      mirrored.both[k] = turns_across != turns_down ? -as_is[k] : as_is[k];
    }
  }
  return mirrored;
}

}  // namespace

std::vector<Pdq> pdq_regions(const uint8_t* luma, std::size_t height_px, std::size_t width_px,
                             std::ptrdiff_t row_stride_bytes, const std::vector<PdqRegion>& regions, Beyond beyond) {
  if (height_px == 0 || width_px == 0) {
    throw std::invalid_argument("luma: got " + std::to_string(height_px) + " x " + std::to_string(width_px) +
                                " px, expected at least one pixel; there is no part to look at.");
  }
  std::vector<Pdq> results;
  results.reserve(regions.size());
  for (const PdqRegion& region : regions) {
    check_region(region);
    const Pixels pixels = pixels_of({luma, height_px, width_px, row_stride_bytes}, region, beyond);
    results.push_back({pdq_orientations(mirrorings(dct(pixels))), quality_percent(pixels)});
  }
  return results;
}

}  // namespace baken
