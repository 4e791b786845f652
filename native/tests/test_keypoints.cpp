#include "baken/keypoints.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

#include "baken/cpu.hpp"
#include "check.hpp"

namespace {

constexpr size_t code_bytes = 32;

struct Keypoints {
  std::vector<float> places;
  std::vector<uint8_t> codes;

  size_t size() const { return codes.size() / code_bytes; }
  const uint8_t* code(size_t row) const { return codes.data() + row * code_bytes; }
  baken::Placed placed() const { return {places.data(), codes.data(), size()}; }
};

// Codes crowded around a few centres, some of them equal, at places in steps of a quarter so that some are equal too.
Keypoints crowded(size_t count, std::mt19937_64& rng, float height = 60.0F) {
  std::mt19937_64 centre_rng = check::fixed_rng(1);
  Keypoints keypoints;
  for (size_t row = 0; row < count; ++row) {
    keypoints.places.push_back(static_cast<float>(rng() % 240) / 4);
    keypoints.places.push_back(static_cast<float>(rng() % 240) / 240 * height);
    centre_rng.seed(rng() % 6);
    for (size_t i = 0; i < code_bytes; ++i) {
      keypoints.codes.push_back(static_cast<uint8_t>(centre_rng()));
    }
    for (uint64_t flips = rng() % 60; flips > 10; --flips) {
      const uint64_t bit = rng() % 256;
      keypoints.codes[row * code_bytes + bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    }
  }
  return keypoints;
}

int32_t distance_bits(const uint8_t* some, const uint8_t* other) {
  int32_t bits = 0;
  for (size_t i = 0; i < code_bytes; ++i) {
    bits += __builtin_popcount(static_cast<unsigned>(some[i] ^ other[i]));
  }
  return bits;
}

template <typename Check>
void on_every_path(Check check) {
  const baken::InstructionPath before = baken::active_path();
  for (const baken::InstructionPath path : baken::supported_paths()) {
    baken::force_path(path);
    check();
  }
  baken::force_path(before);
}

void check_nearest_two(const Keypoints& some, const Keypoints& others) {
  const baken::NearestOthers found =
      baken::nearest_two(some.codes.data(), some.size(), others.codes.data(), others.size());
  CHECK_EQ(found.other_row.size(), some.size());
  for (size_t row = 0; row < some.size(); ++row) {
    std::multimap<int32_t, size_t> by_distance;  // equal distances stay in the order of their rows
    for (size_t other = 0; other < others.size(); ++other) {
      by_distance.emplace(distance_bits(some.code(row), others.code(other)), other);
    }
    const auto nearest = by_distance.begin();
    CHECK_EQ(found.distance_bits[row], nearest->first);
    CHECK_EQ(static_cast<size_t>(found.other_row[row]), nearest->second);
    CHECK_EQ(found.second_distance_bits[row], std::next(nearest)->first);
  }
}

// As documented, without any short cut: of each other keypoint the nearest row, of these each row's nearest.
std::map<std::pair<int32_t, size_t>, size_t> expected_pairs(const Keypoints& some, const Keypoints& others, float reach_px,
                                                            int radius_bits) {
  std::map<size_t, std::pair<int32_t, size_t>> nearest;
  for (size_t other = 0; other < others.size(); ++other) {
    std::pair<int32_t, size_t> best = {radius_bits + 1, 0};
    for (size_t row = 0; row < some.size(); ++row) {
      const float across = some.places[2 * row] - others.places[2 * other];
      const float down = some.places[2 * row + 1] - others.places[2 * other + 1];
      if (across * across + down * down <= reach_px * reach_px) {
        best = std::min(best, {distance_bits(some.code(row), others.code(other)), row});
      }
    }
    if (best.first <= radius_bits) {
      const std::pair<int32_t, size_t> pair = {best.first, other};
      const auto place = nearest.emplace(best.second, pair).first;
      place->second = std::min(place->second, pair);
    }
  }
  std::map<std::pair<int32_t, size_t>, size_t> pairs;
  for (const auto& [row, pair] : nearest) {
    pairs[{pair.first, row}] = pair.second;
  }
  return pairs;
}

void check_pairs(const Keypoints& some, const Keypoints& others, float reach_px, int radius_bits) {
  const baken::CodePairs found = baken::pairs_in_reach(some.placed(), others.placed(), reach_px, radius_bits);
  const auto expected = expected_pairs(some, others, reach_px, radius_bits);
  CHECK_EQ(found.row.size(), expected.size());
  size_t i = 0;
  for (const auto& [key, other] : expected) {
    CHECK_EQ(found.distance_bits[i], key.first);
    CHECK_EQ(static_cast<size_t>(found.row[i]), key.second);
    CHECK_EQ(static_cast<size_t>(found.other_row[i]), other);
    ++i;
  }
}

}  // namespace

TEST(the_nearest_two_equal_brute_force_on_every_path_at_any_count) {
  std::mt19937_64 rng = check::fixed_rng();
  for (size_t count = 2; count < 40; ++count) {
    const Keypoints some = crowded(7, rng);
    const Keypoints others = crowded(count, rng);
    on_every_path([&] { check_nearest_two(some, others); });
  }
  const Keypoints some = crowded(60, rng);
  const Keypoints others = crowded(1003, rng);
  on_every_path([&] { check_nearest_two(some, others); });
}

TEST(of_equal_codes_the_first_is_nearest_and_all_bits_may_differ) {
  Keypoints others;
  others.codes.assign(20 * code_bytes, 0xff);
  on_every_path([&] {
    const std::vector<uint8_t> none(code_bytes);
    const baken::NearestOthers found = baken::nearest_two(none.data(), 1, others.codes.data(), others.size());
    CHECK_EQ(found.other_row[0], 0);
    CHECK_EQ(found.distance_bits[0], 256);
    CHECK_EQ(found.second_distance_bits[0], 256);
  });
}

TEST(nearest_two_refuses_fewer_than_two_others) {
  const std::vector<uint8_t> code(code_bytes);
  CHECK_THROWS(std::invalid_argument, baken::nearest_two(code.data(), 1, code.data(), 1));
  CHECK_THROWS(std::invalid_argument, baken::nearest_two(code.data(), 1, code.data(), 0));
  CHECK_THROWS(std::invalid_argument, baken::nearest_two(code.data(), 0, code.data(), size_t{1} << 22));
}

TEST(pairs_in_reach_equal_brute_force_on_every_path) {
  std::mt19937_64 rng = check::fixed_rng(2);
  for (const float reach_px : {0.25F, 3.0F, 8.0F, 200.0F}) {
    for (const int radius_bits : {0, 40, 80, 256}) {
      const Keypoints some = crowded(90, rng);
      const Keypoints others = crowded(150, rng);
      on_every_path([&] { check_pairs(some, others, reach_px, radius_bits); });
    }
  }
}

TEST(pairs_are_found_wherever_places_lie) {
  std::mt19937_64 rng = check::fixed_rng(3);
  for (const float height : {0.0F, 1.0F, 1e5F, 1e9F, 1e30F}) {
    check_pairs(crowded(60, rng, height), crowded(60, rng, height), 3.0F, 256);
    check_pairs(crowded(60, rng, height), crowded(60, rng, 60.0F), 3.0F, 256);
    check_pairs(crowded(60, rng, 60.0F), crowded(60, rng, -height), 3.0F, 256);
  }
  check_pairs(crowded(60, rng, 3e38F), crowded(60, rng, -3e38F), 3e38F, 256);
}

TEST(nothing_pairs_with_nothing) {
  std::mt19937_64 rng = check::fixed_rng(4);
  const Keypoints some = crowded(5, rng);
  const Keypoints none;
  check_pairs(some, none, 3.0F, 80);
  check_pairs(none, some, 3.0F, 80);
}

TEST(a_place_that_is_not_finite_is_in_no_pair) {
  std::mt19937_64 rng = check::fixed_rng(6);
  const Keypoints others = crowded(40, rng);
  for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    Keypoints some = others;
    some.places[7] = some.places[20] = wrong;
    check_pairs(some, others, 0.25F, 0);
    check_pairs(some, others, 200.0F, 256);
  }
}

TEST(places_and_limits_without_sense_are_refused) {
  std::mt19937_64 rng = check::fixed_rng(5);
  const Keypoints some = crowded(5, rng);
  for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Keypoints others = crowded(5, rng);
    others.places[7] = wrong;
    CHECK_THROWS(std::invalid_argument, baken::pairs_in_reach(some.placed(), others.placed(), 3.0F, 80));
    CHECK_THROWS(std::invalid_argument, baken::pairs_in_reach(some.placed(), some.placed(), wrong, 80));
  }
  CHECK_THROWS(std::invalid_argument, baken::pairs_in_reach(some.placed(), some.placed(), 0.0F, 80));
  CHECK_THROWS(std::invalid_argument, baken::pairs_in_reach(some.placed(), some.placed(), 3.0F, -1));
  CHECK_THROWS(std::invalid_argument, baken::pairs_in_reach(some.placed(), some.placed(), 3.0F, 257));
}
