// Times pdq() on one core, in every instruction path of this machine: the best of many runs, so that noise adds nothing.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <vector>

#include "baken/cpu.hpp"
#include "baken/pdq.hpp"

namespace {

struct Size {
  std::size_t width_px;
  std::size_t height_px;
};

std::vector<uint8_t> noise(std::size_t size_bytes) {
  std::mt19937_64 rng(20180415);
  std::vector<uint8_t> bytes(size_bytes);
  std::generate(bytes.begin(), bytes.end(), [&rng] { return static_cast<uint8_t>(rng()); });
  return bytes;
}

double best_ms(const std::vector<uint8_t>& luma, Size size) {
  double best = 1e9;
  for (int run = 0; run < 50; ++run) {
    const auto start = std::chrono::steady_clock::now();
    baken::pdq(luma.data(), size.height_px, size.width_px, static_cast<std::ptrdiff_t>(size.width_px));
    const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
    best = std::min(best, elapsed.count());
  }
  return best;
}

}  // namespace

int main() {
  std::printf("%-8s %12s %10s %10s\n", "path", "px", "ms", "ms/Mpx");
  for (const baken::InstructionPath path : baken::supported_paths()) {
    baken::force_path(path);
    for (const Size size : {Size{64, 64}, Size{512, 512}, Size{1008, 756}, Size{1600, 1200}, Size{4000, 3000}}) {
      const std::vector<uint8_t> luma = noise(size.width_px * size.height_px);
      const double ms = best_ms(luma, size);
      std::printf("%-8s %7zux%-5zu %9.3f %9.3f\n", baken::path_name(path).data(), size.width_px, size.height_px, ms,
                  ms * 1e6 / static_cast<double>(luma.size()));
    }
  }
}
