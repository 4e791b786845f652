// Holds work on the disk to a rate, so that what runs beside it keeps its share.
#pragma once

#include <chrono>
#include <cstddef>
#include <thread>

namespace baken::index {

class Pace {
 public:
  // 0: no limit.
  explicit Pace(size_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  // Sleeps for as long as the work so far is ahead of the rate.
  void done(size_t size_bytes) {
    done_bytes_ += size_bytes;
    if (bytes_per_second_ != 0) {
      const std::chrono::duration<double> due(static_cast<double>(done_bytes_) / static_cast<double>(bytes_per_second_));
      std::this_thread::sleep_until(start_ + std::chrono::duration_cast<std::chrono::steady_clock::duration>(due));
    }
  }

 private:
  size_t bytes_per_second_;
  size_t done_bytes_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace baken::index
