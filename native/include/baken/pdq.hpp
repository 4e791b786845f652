// PDQ: a 256-bit perceptual fingerprint of a greyscale picture, in all eight orientations.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace baken {

inline constexpr std::size_t pdq_bytes = 32;
inline constexpr std::size_t pdq_orientation_count = 8;
inline constexpr std::size_t pdq_min_side_px = 5;

using PdqCode = std::array<uint8_t, pdq_bytes>;

struct Pdq {
  // Code i is that of the picture after undoing transform i: identity, rotated 90, 180, 270 degrees clockwise, mirrored
  // left to right, and mirrored then rotated 90, 180, 270 clockwise. Bytes stand in the order of the usual hex text.
  // Each is what PDQ gives for the pixels turned that way; flipping signs in one DCT, as the peer's dihedral function does,
  // forgets that PDQ's own filter is lopsided, and was up to 88 bits away from that on photos.
  std::array<PdqCode, pdq_orientation_count> orientations;
  int quality_percent;
};

// The PDQ of `height_px` rows of `width_px` luma bytes, `row_stride_bytes` apart (negative for a picture stored upside
// down). Safe on any number of threads. Throws std::invalid_argument for a side below `pdq_min_side_px`.
// Source: https://github.com/facebook/ThreatExchange/blob/main/hashing/hashing.pdf
Pdq pdq(const uint8_t* luma, std::size_t height_px, std::size_t width_px, std::ptrdiff_t row_stride_bytes);

// What lies beyond a picture: black, or its nearest pixel.
enum class Beyond { black, edge };

// A rectangle in fractions of the picture's width and height, turned clockwise about its centre; it may reach beyond the
// picture.
struct PdqRegion {
  double left;
  double top;
  double right;
  double bottom;
  double tilt_degrees;
};

// The PDQ of parts of a picture. Regions need not begin at whole pixels, and the filter is what PDQ's two box filters come
// to in a large picture, a tent of one sixty-fourth of the side, without the lopsidedness of its even windows. So a region
// gives nearly the same code at whatever size the picture is kept, and nearly that of a file with these pixels alone.
// Safe on any number of threads. Throws std::invalid_argument for a picture without pixels, a region without area, and
// numbers that are not finite.
std::vector<Pdq> pdq_regions(const uint8_t* luma, std::size_t height_px, std::size_t width_px,
                             std::ptrdiff_t row_stride_bytes, const std::vector<PdqRegion>& regions, Beyond beyond);

}  // namespace baken
