// PDQ of parts of a picture against PDQ of pictures that are only these parts.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "baken/cpu.hpp"
#include "baken/pdq.hpp"
#include "check.hpp"

namespace {

struct Picture {
  std::size_t height;
  std::size_t width;
  std::vector<uint8_t> luma;
};

// A sum of waves that is known at every place, not only at whole pixels.
class Waves {
 public:
  explicit Waves(std::mt19937_64& rng) {
    std::normal_distribution<double> frequency(0.0, 5.0);
    std::uniform_real_distribution<double> phase(0.0, 2.0 * std::numbers::pi);
    for (Wave& wave : waves_) {
      wave = {frequency(rng), frequency(rng), phase(rng)};
    }
  }

  // The part from `left`, `top`, `side` of the whole, turned by `turn` about its middle, `size` pixels wide and high.
  Picture part(double left, double top, double side, double turn, std::size_t size) const {
    Picture picture{size, size, std::vector<uint8_t>(size * size)};
    for (std::size_t k = 0; k < picture.luma.size(); ++k) {
      const double across = ((static_cast<double>(k % size) + 0.5) / static_cast<double>(size) - 0.5) * side;
      const double down = ((static_cast<double>(k / size) + 0.5) / static_cast<double>(size) - 0.5) * side;
      picture.luma[k] = at(left + side / 2 + across * std::cos(turn) - down * std::sin(turn),
                           top + side / 2 + across * std::sin(turn) + down * std::cos(turn));
    }
    return picture;
  }

 private:
  struct Wave {
    double across;
    double down;
    double start;
  };

  uint8_t at(double x, double y) const {
    double sum = 127.5;
    for (const Wave& wave : waves_) {
      sum += 15.0 * std::cos(2.0 * std::numbers::pi * (wave.across * x + wave.down * y) + wave.start);
    }
    return static_cast<uint8_t>(std::clamp(sum, 0.0, 255.0));
  }

  std::array<Wave, 20> waves_;
};

baken::Pdq whole(const Picture& picture) {
  return baken::pdq(picture.luma.data(), picture.height, picture.width, static_cast<std::ptrdiff_t>(picture.width));
}

std::vector<baken::Pdq> regions(const Picture& picture, const std::vector<baken::PdqRegion>& asked,
                                baken::Beyond beyond = baken::Beyond::black) {
  const auto stride = static_cast<std::ptrdiff_t>(picture.width);
  return baken::pdq_regions(picture.luma.data(), picture.height, picture.width, stride, asked, beyond);
}

int distance_bits(const baken::PdqCode& left, const baken::PdqCode& right) {
  int distance = 0;
  for (std::size_t k = 0; k < left.size(); ++k) {
    distance += std::popcount(static_cast<uint8_t>(left[k] ^ right[k]));
  }
  return distance;
}

}  // namespace

TEST(a_part_gives_the_code_of_a_picture_that_is_only_this_part) {
  std::mt19937_64 rng = check::fixed_rng();
  std::uniform_real_distribution<double> place(0.0, 0.4);
  for (int round = 0; round < 12; ++round) {
    const Waves waves(rng);
    const double left = place(rng);
    const double top = place(rng);
    const double side = 0.6;
    const baken::PdqRegion region{left, top, left + side, top + side, 0.0};
    const baken::Pdq part = regions(waves.part(0, 0, 1, 0, 512), {region})[0];
    const baken::Pdq alone = whole(waves.part(left, top, side, 0, 1280));
    for (std::size_t k = 0; k < part.orientations.size(); ++k) {
      CHECK(distance_bits(part.orientations[k], alone.orientations[k]) <= 16);
    }
    CHECK(std::abs(part.quality_percent - alone.quality_percent) <= 5);
  }
}

TEST(a_tilted_part_is_turned_clockwise) {
  std::mt19937_64 rng = check::fixed_rng();
  for (const double degrees : {-20.0, -7.0, 3.0, 12.0}) {
    const Waves waves(rng);
    const baken::PdqRegion region{0.2, 0.2, 0.8, 0.8, degrees};
    const baken::Pdq part = regions(waves.part(0, 0, 1, 0, 512), {region})[0];
    const double turn = degrees * std::numbers::pi / 180.0;
    CHECK(distance_bits(part.orientations[0], whole(waves.part(0.2, 0.2, 0.6, turn, 1280)).orientations[0]) <= 16);
    CHECK(distance_bits(part.orientations[0], whole(waves.part(0.2, 0.2, 0.6, -turn, 1280)).orientations[0]) > 31);
  }
}

TEST(all_paths_give_the_same_bits_of_parts) {
  const baken::InstructionPath before = baken::active_path();
  std::mt19937_64 rng = check::fixed_rng();
  const Picture picture = Waves(rng).part(0, 0, 1, 0, 391);
  const std::vector<baken::PdqRegion> asked = {
      {0, 0, 1, 1, 0}, {0.1, 0.2, 0.55, 0.9, 0}, {0, 0, 1, 1, 9}, {0.99, 0.99, 1, 1, 0}, {-0.5, -0.5, 1.5, 1.5, 0}};
  baken::force_path(baken::InstructionPath::scalar);
  const std::vector<baken::Pdq> scalar = regions(picture, asked);
  for (const baken::InstructionPath path : baken::supported_paths()) {
    baken::force_path(path);
    const std::vector<baken::Pdq> result = regions(picture, asked);
    for (std::size_t k = 0; k < asked.size(); ++k) {
      CHECK(result[k].orientations == scalar[k].orientations);
      CHECK_EQ(result[k].quality_percent, scalar[k].quality_percent);
    }
  }
  baken::force_path(before);
}

TEST(beyond_a_picture_is_black_or_its_edge) {
  const Picture white{100, 100, std::vector<uint8_t>(100 * 100, 255)};
  const std::vector<baken::PdqRegion> asked = {{-0.5, -0.5, 1.5, 1.5, 0}};
  CHECK(regions(white, asked, baken::Beyond::black)[0].quality_percent > 0);
  CHECK_EQ(regions(white, asked, baken::Beyond::edge)[0].quality_percent, 0);
}

TEST(any_place_of_a_picture_of_any_size_may_be_asked) {
  std::mt19937_64 rng = check::fixed_rng();
  std::uniform_int_distribution<std::size_t> side(1, 40);
  std::uniform_real_distribution<double> edge(-3.0, 3.0);
  std::uniform_real_distribution<double> tilt(-400.0, 400.0);
  for (int round = 0; round < 300; ++round) {
    const std::size_t height = side(rng);
    const std::size_t width = side(rng);
    const Picture picture{height, width, std::vector<uint8_t>(height * width, static_cast<uint8_t>(round))};
    const double left = edge(rng);
    const double top = edge(rng);
    const baken::PdqRegion region{left, top, left + std::abs(edge(rng)) + 1e-9, top + std::abs(edge(rng)) + 1e-9, tilt(rng)};
    const baken::PdqRegion inside{0.5, 0.25, 0.5 + 1e-6, 1.0, 0.0};
    CHECK_EQ(regions(picture, {region, inside}, baken::Beyond::edge).size(), std::size_t{2});
    CHECK_EQ(regions(picture, {region, inside}, baken::Beyond::black).size(), std::size_t{2});
  }
}

TEST(a_region_without_area_or_sense_is_refused) {
  const Picture picture{20, 20, std::vector<uint8_t>(400)};
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS(std::invalid_argument, regions(picture, {{0.5, 0, 0.5, 1, 0}}));
  CHECK_THROWS(std::invalid_argument, regions(picture, {{0, 0.7, 1, 0.2, 0}}));
  CHECK_THROWS(std::invalid_argument, regions(picture, {{0, 0, 1, 1, nothing}}));
  CHECK_THROWS(std::invalid_argument, regions({0, 0, {}}, {{0, 0, 1, 1, 0}}));
}
