// Which segments to merge: geometric, so that a row is copied a logarithmic number of times and few segments remain.
#pragma once

#include <cstddef>
#include <span>

#include "hamming_segment.hpp"

namespace baken::hamming {

// Small enough to scan flat in a few microseconds.
constexpr size_t tail_rows = 16384;

// How many times larger than all behind it together a segment must be to be left alone. A smaller factor copies rows less
// often and leaves more segments to search: while rows come in, and once they no longer do.
constexpr size_t growth = 4;
constexpr size_t settled_growth = 32;

struct SegmentSize {
  size_t rows;
  size_t alive;
  bool is_outdated = false;  // of an older format, without tables that can be used

  bool is_due() const { return is_outdated || 2 * alive < rows; }
};

// Neighbouring segments, [first, end).
struct Run {
  size_t first = 0;
  size_t end = 0;

  bool empty() const { return first == end; }
};

// The last segments as far as each is less than `factor` times those behind it together, else one that is mostly
// removed or outdated.
inline Run due_run(std::span<const SegmentSize> sizes, size_t factor) {
  size_t merged = 0;
  size_t first = sizes.size();
  while (first > 0) {
    const size_t alive = sizes[first - 1].alive;
    if (first < sizes.size() && (alive >= factor * merged || alive + merged > max_segment_rows)) {
      break;
    }
    merged += alive;
    --first;
  }
  if (sizes.size() - first > 1) {
    return {first, sizes.size()};
  }
  for (size_t segment = 0; segment < sizes.size(); ++segment) {
    if (sizes[segment].is_due()) {
      return {segment, segment + 1};
    }
  }
  return {};
}

}  // namespace baken::hamming
