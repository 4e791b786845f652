// Keypoints of two pictures, paired: by what each looks like alone, or by where each is expected too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace baken {

// Parallel columns, one row a code that is asked: which of the others is nearest (the lower row of equals), how far it is,
// and how far the second nearest.
struct NearestOthers {
  std::vector<int32_t> other_row;
  std::vector<int32_t> distance_bits;
  std::vector<int32_t> second_distance_bits;
};

// Both hold codes of 32 bytes. Throws std::invalid_argument for fewer than two others, or over four million.
NearestOthers nearest_two(const uint8_t* codes, size_t count, const uint8_t* others, size_t other_count);

// Where keypoints lie, x and y in turn, and their codes of 32 bytes.
struct Placed {
  const float* places;
  const uint8_t* codes;
  size_t count;
};

// Parallel columns, one row a pair, ordered by distance_bits, then row.
struct CodePairs {
  std::vector<int64_t> row;
  std::vector<int64_t> other_row;
  std::vector<int32_t> distance_bits;
};

// Pairs at most `reach_px` apart whose codes differ in at most `radius_bits`, each keypoint in one at most: of each other
// keypoint the nearest code, and of these each keypoint's nearest; the lower row of equals. A place that is not finite is nowhere. Throws std::invalid_argument
// for another place that is not finite, a reach that is not positive, and a radius outside 0 to 256.
CodePairs pairs_in_reach(const Placed& some, const Placed& others, float reach_px, int radius_bits);

}  // namespace baken
