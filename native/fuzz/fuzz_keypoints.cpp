// Codes and places of keypoints, as any bytes, on every instruction path; all paths must agree.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <vector>

#include "baken/cpu.hpp"
#include "baken/keypoints.hpp"

namespace {

constexpr size_t code_bytes = 32;
constexpr size_t most_codes = 70;

struct Points {
  std::vector<uint8_t> codes;
  std::vector<float> places;

  baken::Placed placed() const { return {places.data(), codes.data(), places.size() / 2}; }
};

Points taken(FuzzedDataProvider& data) {
  const size_t count = data.ConsumeIntegralInRange<size_t>(0, most_codes);
  Points points{std::vector<uint8_t>(count * code_bytes), std::vector<float>(count * 2)};
  if (count > 0) {  // the bytes of an empty vector are nowhere, and may not be named
    data.ConsumeData(points.codes.data(), points.codes.size() / 4);  // the rest is alike: ties and near codes
  }
  for (float& place : points.places) {
    place = data.ConsumeBool() ? data.ConsumeFloatingPointInRange<float>(-8.0F, 600.0F) : data.ConsumeFloatingPoint<float>();
  }
  points.codes.shrink_to_fit();
  return points;
}

template <typename Call>
auto answer(Call call) -> std::optional<decltype(call())> {
  try {
    return call();
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
}

void expect(bool holds) {
  if (!holds) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  FuzzedDataProvider data(bytes, size);
  const Points some = taken(data);
  const Points others = taken(data);
  const float reach_px = data.ConsumeBool() ? data.ConsumeFloatingPointInRange<float>(0.1F, 60.0F) : data.ConsumeFloatingPoint<float>();
  const int radius_bits = data.ConsumeIntegralInRange<int>(-1, 257);
  std::optional<baken::CodePairs> first_pairs;
  std::optional<baken::NearestOthers> first_nearest;
  bool is_first = true;
  for (const baken::InstructionPath path : baken::supported_paths()) {
    baken::force_path(path);
    auto nearest = answer([&] {
      return baken::nearest_two(some.codes.data(), some.placed().count, others.codes.data(), others.placed().count);
    });
    auto pairs = answer([&] { return baken::pairs_in_reach(some.placed(), others.placed(), reach_px, radius_bits); });
    if (!is_first) {
      expect(nearest.has_value() == first_nearest.has_value() && pairs.has_value() == first_pairs.has_value());
      expect(!nearest || (nearest->other_row == first_nearest->other_row &&
                          nearest->second_distance_bits == first_nearest->second_distance_bits));
      expect(!pairs || (pairs->row == first_pairs->row && pairs->other_row == first_pairs->other_row));
    }
    first_nearest = std::move(nearest);
    first_pairs = std::move(pairs);
    is_first = false;
  }
  return 0;
}
