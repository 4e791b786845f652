// PDQ against the plainest way to write it: every box filter pixel by pixel, every sum in double.
#include "baken/pdq.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <thread>

#include "baken/cpu.hpp"
#include "check.hpp"

namespace {

struct Picture {
  std::size_t height;
  std::size_t width;
  std::vector<uint8_t> luma;
};

// Waves of random direction, of all frequencies that PDQ looks at.
Picture waves(std::size_t height, std::size_t width, std::mt19937_64& rng) {
  std::normal_distribution<double> frequency(0.0, 5.0);
  std::uniform_real_distribution<double> phase(0.0, 2.0 * std::numbers::pi);
  std::vector<double> sum(height * width, 127.5);
  for (int wave = 0; wave < 20; ++wave) {
    const double down = frequency(rng) * 2.0 * std::numbers::pi / static_cast<double>(height);
    const double across = frequency(rng) * 2.0 * std::numbers::pi / static_cast<double>(width);
    const double start = phase(rng);
    for (std::size_t k = 0; k < sum.size(); ++k) {
      sum[k] += 15.0 * std::cos(down * static_cast<double>(k / width) + across * static_cast<double>(k % width) + start);
    }
  }
  Picture picture{height, width, std::vector<uint8_t>(sum.size())};
  std::transform(sum.begin(), sum.end(), picture.luma.begin(),
                 [](double value) { return static_cast<uint8_t>(std::clamp(value, 0.0, 255.0)); });
  return picture;
}

Picture random_waves(std::mt19937_64& rng) {
  std::uniform_int_distribution<std::size_t> side(baken::pdq_min_side_px, 300);
  const std::size_t height = side(rng);
  return waves(height, side(rng), rng);
}

baken::Pdq pdq_of(const Picture& picture) {
  return baken::pdq(picture.luma.data(), picture.height, picture.width, static_cast<std::ptrdiff_t>(picture.width));
}

int distance_bits(const baken::PdqCode& left, const baken::PdqCode& right) {
  int distance = 0;
  for (std::size_t k = 0; k < left.size(); ++k) {
    distance += std::popcount(static_cast<uint8_t>(left[k] ^ right[k]));
  }
  return distance;
}

// What box1DFloat of ThreatExchange's downscaling.cpp does to one line of `length` values, `stride` apart.
void box_filter(double* values, std::size_t length, std::size_t stride) {
  const int size = static_cast<int>(length);
  const int window = (size + 127) / 128;
  std::vector<double> averages(length);
  for (int out = 0; out < size; ++out) {
    const int end = std::min(out + window / 2 + 1, size);
    const int begin = std::max(out + window / 2 + 1 - window, 0);
    for (int in = begin; in < end; ++in) {
      averages[static_cast<std::size_t>(out)] += values[static_cast<std::size_t>(in) * stride] / (end - begin);
    }
  }
  for (std::size_t k = 0; k < length; ++k) {
    values[k * stride] = averages[k];
  }
}

std::vector<double> plain_shrink(const Picture& picture) {
  std::vector<double> values(picture.luma.begin(), picture.luma.end());
  for (int pass = 0; pass < 2; ++pass) {
    for (std::size_t y = 0; y < picture.height; ++y) {
      box_filter(&values[y * picture.width], picture.width, 1);
    }
    for (std::size_t x = 0; x < picture.width; ++x) {
      box_filter(&values[x], picture.height, picture.width);
    }
  }
  std::vector<double> pixels;
  for (std::size_t k = 0; k < 64 * 64; ++k) {
    const auto y = static_cast<std::size_t>((static_cast<double>(k / 64) + 0.5) * static_cast<double>(picture.height) / 64);
    const auto x = static_cast<std::size_t>((static_cast<double>(k % 64) + 0.5) * static_cast<double>(picture.width) / 64);
    pixels.push_back(values[y * picture.width + x]);
  }
  return pixels;
}

double plain_coefficient(const std::vector<double>& pixels, std::size_t i, std::size_t j) {
  const auto wave = [](std::size_t frequency, std::size_t at) {
    return std::cos(std::numbers::pi / 128 * static_cast<double>((frequency + 1) * (2 * at + 1)));
  };
  double sum = 0;
  for (std::size_t k = 0; k < pixels.size(); ++k) {
    sum += pixels[k] * wave(i, k / 64) * wave(j, k % 64);
  }
  return sum;
}

baken::PdqCode plain_code(const Picture& picture) {
  const std::vector<double> pixels = plain_shrink(picture);
  std::vector<double> coefficients;
  for (std::size_t k = 0; k < 256; ++k) {
    coefficients.push_back(plain_coefficient(pixels, k / 16, k % 16));
  }
  std::vector<double> sorted = coefficients;
  std::sort(sorted.begin(), sorted.end());
  baken::PdqCode code{};
  for (std::size_t k = 0; k < 256; ++k) {
    code[(255 - k) / 8] = static_cast<uint8_t>(code[(255 - k) / 8] | (coefficients[k] > sorted[127]) << k % 8);
  }
  return code;
}

Picture mirrored(const Picture& picture) {
  Picture result = picture;
  for (std::size_t y = 0; y < picture.height; ++y) {
    const auto row = result.luma.begin() + static_cast<std::ptrdiff_t>(y * picture.width);
    std::reverse(row, row + static_cast<std::ptrdiff_t>(picture.width));
  }
  return result;
}

Picture rotated_90(const Picture& picture) {
  Picture result{picture.width, picture.height, std::vector<uint8_t>(picture.luma.size())};
  for (std::size_t y = 0; y < picture.height; ++y) {
    for (std::size_t x = 0; x < picture.width; ++x) {
      result.luma[x * result.width + (picture.height - 1 - y)] = picture.luma[y * picture.width + x];
    }
  }
  return result;
}

}  // namespace

TEST(pdq_is_what_the_plain_way_gives) {
  std::mt19937_64 rng = check::fixed_rng();
  for (int round = 0; round < 12; ++round) {
    const Picture picture = random_waves(rng);
    CHECK(distance_bits(pdq_of(picture).orientations[0], plain_code(picture)) <= 2);
  }
}

TEST(every_orientation_is_that_of_the_picture_turned_back) {
  std::mt19937_64 rng = check::fixed_rng();
  for (int round = 0; round < 20; ++round) {
    const Picture original = random_waves(rng);
    const baken::PdqCode code = pdq_of(original).orientations[0];
    Picture turned = original;
    Picture turned_mirror = mirrored(original);
    for (std::size_t quarter = 0; quarter < 4; ++quarter) {
      CHECK(distance_bits(pdq_of(turned).orientations[quarter], code) <= 2);
      CHECK(distance_bits(pdq_of(turned_mirror).orientations[4 + quarter], code) <= 2);
      turned = rotated_90(turned);
      turned_mirror = rotated_90(turned_mirror);
    }
  }
}

TEST(all_paths_give_the_same_bits) {
  const baken::InstructionPath before = baken::active_path();
  std::mt19937_64 rng = check::fixed_rng();
  for (int round = 0; round < 40; ++round) {
    const Picture picture = random_waves(rng);
    baken::force_path(baken::InstructionPath::scalar);
    const baken::Pdq scalar = pdq_of(picture);
    for (const baken::InstructionPath path : baken::supported_paths()) {
      baken::force_path(path);
      const baken::Pdq result = pdq_of(picture);
      CHECK(result.orientations == scalar.orientations);
      CHECK_EQ(result.quality_percent, scalar.quality_percent);
    }
  }
  baken::force_path(before);
}

TEST(bytes_between_rows_do_not_count) {
  std::mt19937_64 rng = check::fixed_rng();
  const Picture picture = waves(131, 257, rng);
  const std::size_t stride = 300;
  std::vector<uint8_t> padded(picture.height * stride, 0xFF);
  std::vector<uint8_t> upside_down(picture.luma.size());
  for (std::size_t y = 0; y < picture.height; ++y) {
    const uint8_t* row = &picture.luma[y * picture.width];
    std::copy(row, row + picture.width, &padded[y * stride]);
    std::copy(row, row + picture.width, &upside_down[(picture.height - 1 - y) * picture.width]);
  }
  const baken::Pdq expected = pdq_of(picture);
  CHECK(baken::pdq(padded.data(), picture.height, picture.width, stride).orientations == expected.orientations);
  const uint8_t* last_row = &upside_down[(picture.height - 1) * picture.width];
  CHECK(baken::pdq(last_row, picture.height, picture.width, -257).orientations == expected.orientations);
}

TEST(a_flat_picture_has_no_quality) {
  const Picture flat{200, 300, std::vector<uint8_t>(200 * 300, 200)};
  CHECK_EQ(pdq_of(flat).quality_percent, 0);
}

TEST(threads_give_what_one_thread_gives) {
  std::mt19937_64 rng = check::fixed_rng();
  std::vector<Picture> pictures;
  std::vector<baken::Pdq> serial;
  for (int round = 0; round < 16; ++round) {
    pictures.push_back(random_waves(rng));
    serial.push_back(pdq_of(pictures.back()));
  }
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&pictures, &serial, &count] {
      for (std::size_t k = 0; k < pictures.size(); ++k) {
        count += pdq_of(pictures[k]).orientations != serial[k].orientations;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(wrong == std::vector<int>(4, 0));
}

TEST(a_side_below_five_pixels_is_refused) {
  const std::vector<uint8_t> luma(100);
  CHECK_THROWS(std::invalid_argument, baken::pdq(luma.data(), 4, 20, 20));
  CHECK_THROWS(std::invalid_argument, baken::pdq(luma.data(), 20, 4, 4));
  CHECK_THROWS(std::invalid_argument, baken::pdq(luma.data(), 0, 0, 0));
}

TEST(an_unknown_path_is_refused) { CHECK_THROWS(std::invalid_argument, baken::path_from_name("mmx")); }
