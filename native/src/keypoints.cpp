#include "baken/keypoints.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "hamming_kernels.hpp"

namespace baken {
namespace {

constexpr size_t code_bytes = 32;
constexpr size_t max_bands = 4096;
constexpr int max_distance_bits = 256;

void check_other_places(const Placed& keypoints) {
  for (size_t i = 0; i < 2 * keypoints.count; ++i) {
    if (!std::isfinite(keypoints.places[i])) {
      throw std::invalid_argument("other_places: row " + std::to_string(i / 2) +
                                  " is not finite, expected x and y in pixels; leave such keypoints out.");
    }
  }
}

// Keypoints by the horizontal band of the picture that they lie in, so that few are looked at for each place.
class Bands {
 public:
  Bands(const Placed& keypoints, float reach_px) {
    const auto y = [&](size_t i) { return keypoints.places[2 * i + 1]; };
    float bottom = y(0);
    top_ = bottom;
    for (size_t i = 1; i < keypoints.count; ++i) {
      top_ = std::min(top_, y(i));
      bottom = std::max(bottom, y(i));
    }
    const double height = double{bottom} - double{top_};
    band_height_ = std::max(double{reach_px}, height / static_cast<double>(max_bands - 1));
    starts_.resize(static_cast<size_t>(height / band_height_) + 2);
    for (size_t i = 0; i < keypoints.count; ++i) {
      ++starts_[band_at(y(i)) + 1];
    }
    for (size_t band = 1; band < starts_.size(); ++band) {
      starts_[band] += starts_[band - 1];
    }
    keypoints_.resize(keypoints.count);
    std::vector<uint32_t> next(starts_.begin(), starts_.end() - 1);
    for (size_t i = 0; i < keypoints.count; ++i) {
      keypoints_[next[band_at(y(i))]++] = {keypoints.places[2 * i], y(i), static_cast<uint32_t>(i)};
    }
  }

  // Calls `visit` with the row of each keypoint within reach of a place.
  template <typename Visit>
  void each_in_reach(float x, float y, float reach_px, Visit visit) const {
    const Keypoint* end = keypoints_.data() + starts_[band_at(double{y} + reach_px) + 1];
    for (const Keypoint* near = keypoints_.data() + starts_[band_at(double{y} - reach_px)]; near < end; ++near) {
      const float across = near->x - x;
      const float down = near->y - y;
      if (across * across + down * down <= reach_px * reach_px) {
        visit(near->row);
      }
    }
  }

 private:
  struct Keypoint {
    float x;
    float y;
    uint32_t row;
  };

  // The nearest band, for a place above or below all of them.
  size_t band_at(double y) const {
    const double band = (y - double{top_}) / band_height_;
    return static_cast<size_t>(std::clamp(band, 0.0, static_cast<double>(starts_.size() - 2)));
  }

  float top_;
  double band_height_;
  std::vector<uint32_t> starts_;  // of each band, and the end
  std::vector<Keypoint> keypoints_;
};

// A distance and the row at that distance, so that the least is the nearest, and of equals the lower row.
using NearRow = std::pair<int32_t, size_t>;
constexpr NearRow no_row = {max_distance_bits + 1, 0};

// Of each other keypoint the row that looks nearest, of those within reach and radius.
std::vector<NearRow> nearest_rows(const Placed& some, const Placed& others, float reach_px, int radius_bits) {
  const hamming::Kernels& kernels = hamming::active_kernels();
  const Bands bands(others, reach_px);
  std::vector<NearRow> nearest(others.count, no_row);
  for (size_t row = 0; row < some.count; ++row) {
    const float x = some.places[2 * row];
    const float y = some.places[2 * row + 1];
    if (!std::isfinite(x) || !std::isfinite(y)) {
      continue;
    }
    bands.each_in_reach(x, y, reach_px, [&](size_t other_row) {
      int32_t distance_bits = 0;
      kernels.distances(some.codes + row * code_bytes, others.codes + other_row * code_bytes, 1, &distance_bits);
      if (distance_bits <= radius_bits) {
        nearest[other_row] = std::min(nearest[other_row], {distance_bits, row});
      }
    });
  }
  return nearest;
}

}  // namespace

NearestOthers nearest_two(const uint8_t* codes, size_t count, const uint8_t* others, size_t other_count) {
  constexpr size_t limit = size_t{1} << hamming::nearest_row_bits;
  if (other_count < 2 || other_count >= limit) {
    throw std::invalid_argument("others: got " + std::to_string(other_count) + " codes, expected 2 to " +
                                std::to_string(limit - 1) + "; ask fewer at a time.");
  }
  const auto bits = [](uint32_t key) { return static_cast<int32_t>(key >> hamming::nearest_row_bits); };
  const hamming::Kernels& kernels = hamming::active_kernels();
  NearestOthers result;
  result.other_row.resize(count);
  result.distance_bits.resize(count);
  result.second_distance_bits.resize(count);
  for (size_t row = 0; row < count; ++row) {
    const hamming::NearestTwo nearest = kernels.nearest_two(codes + row * code_bytes, others, other_count);
    result.other_row[row] = static_cast<int32_t>(nearest.first & (limit - 1));
    result.distance_bits[row] = bits(nearest.first);
    result.second_distance_bits[row] = bits(nearest.second);
  }
  return result;
}

CodePairs pairs_in_reach(const Placed& some, const Placed& others, float reach_px, int radius_bits) {
  if (!(reach_px > 0) || !std::isfinite(reach_px)) {
    throw std::invalid_argument("reach_px: got " + std::to_string(reach_px) + ", expected more than 0; give a distance.");
  }
  if (radius_bits < 0 || radius_bits > max_distance_bits) {
    throw std::invalid_argument("radius_bits: got " + std::to_string(radius_bits) + ", expected 0 to 256.");
  }
  check_other_places(others);
  CodePairs result;
  if (some.count == 0 || others.count == 0) {
    return result;
  }
  const std::vector<NearRow> rows = nearest_rows(some, others, reach_px, radius_bits);
  std::vector<NearRow> nearest(some.count, no_row);
  for (size_t other_row = 0; other_row < others.count; ++other_row) {
    const auto [distance_bits, row] = rows[other_row];
    if (distance_bits <= radius_bits) {
      nearest[row] = std::min(nearest[row], {distance_bits, other_row});
    }
  }
  std::vector<NearRow> order;
  for (size_t row = 0; row < some.count; ++row) {
    if (nearest[row] != no_row) {
      order.emplace_back(nearest[row].first, row);
    }
  }
  std::sort(order.begin(), order.end());
  for (const auto& [distance_bits, row] : order) {
    result.row.push_back(static_cast<int64_t>(row));
    result.other_row.push_back(static_cast<int64_t>(nearest[row].second));
    result.distance_bits.push_back(distance_bits);
  }
  return result;
}

}  // namespace baken
