// Pictures of any size, stride and content through PDQ and its regions, on every instruction path. Each buffer is exactly as
// long as the picture says, so that a read past either end is seen.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "baken/cpu.hpp"
#include "baken/pdq.hpp"

namespace {

constexpr size_t most_pixels = 1 << 16;
constexpr size_t most_regions = 6;

struct Luma {
  std::unique_ptr<uint8_t[]> bytes;
  const uint8_t* first_row;
  size_t height_px;
  size_t width_px;
  std::ptrdiff_t stride_bytes;
};

Luma taken(FuzzedDataProvider& data) {
  Luma luma{};
  luma.height_px = data.ConsumeIntegralInRange<size_t>(0, 300);
  luma.width_px = data.ConsumeIntegralInRange<size_t>(0, most_pixels / (luma.height_px + 1));
  const size_t gap = data.ConsumeIntegralInRange<size_t>(0, 70);
  const size_t stride = luma.width_px + gap;
  // The last row has no gap behind it.
  const size_t size = luma.height_px == 0 ? 0 : stride * (luma.height_px - 1) + luma.width_px;
  luma.bytes = std::make_unique<uint8_t[]>(size);
  const bool upside_down = data.ConsumeBool();
  luma.stride_bytes = upside_down ? -static_cast<std::ptrdiff_t>(stride) : static_cast<std::ptrdiff_t>(stride);
  luma.first_row = luma.bytes.get() + (upside_down && luma.height_px > 0 ? stride * (luma.height_px - 1) : 0);
  uint32_t noise = data.ConsumeIntegral<uint32_t>() | 1;
  for (size_t at = 0; at < size; ++at) {
    noise = noise * 1664525 + 1013904223;
    luma.bytes[at] = static_cast<uint8_t>(noise >> 24);
  }
  return luma;
}

std::vector<baken::PdqRegion> regions(FuzzedDataProvider& data) {
  std::vector<baken::PdqRegion> found;
  const size_t count = data.ConsumeIntegralInRange<size_t>(0, most_regions);
  for (size_t row = 0; row < count; ++row) {
    double numbers[5];
    for (double& number : numbers) {
      number = data.ConsumeBool() ? data.ConsumeFloatingPointInRange<double>(-2.0, 3.0) : data.ConsumeFloatingPoint<double>();
    }
    found.push_back({numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]});
  }
  return found;
}

template <typename Call>
auto refused_or(Call call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::invalid_argument&) {
    return {};
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
  const Luma luma = taken(data);
  const std::vector<baken::PdqRegion> parts = regions(data);
  const baken::Beyond beyond = data.ConsumeBool() ? baken::Beyond::edge : baken::Beyond::black;
  for (const baken::InstructionPath path : baken::supported_paths()) {
    baken::force_path(path);
    const baken::Pdq whole =
        refused_or([&] { return baken::pdq(luma.first_row, luma.height_px, luma.width_px, luma.stride_bytes); });
    expect(whole.quality_percent >= 0 && whole.quality_percent <= 100);
    const auto seen = refused_or([&] {
      return baken::pdq_regions(luma.first_row, luma.height_px, luma.width_px, luma.stride_bytes, parts, beyond);
    });
    expect(seen.empty() || seen.size() == parts.size());
  }
  return 0;
}
