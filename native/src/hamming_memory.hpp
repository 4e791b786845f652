// Large zeroed arrays in few, large pages: a lookup touches thousands of random lines, and with 4 kB pages nearly every
// one of them would also miss the TLB.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace baken::hamming {

class Buffer {
 public:
  Buffer() = default;

  explicit Buffer(size_t size_bytes) {
    if (size_bytes == 0) {
      return;
    }
    const bool huge = size_bytes >= huge_page_bytes;
    size_bytes_ = (size_bytes + page_bytes - 1) / page_bytes * page_bytes;
    data_ = huge ? map_huge(size_bytes_) : map(size_bytes_);
  }

  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}

  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_bytes_, other.size_bytes_);
    return *this;
  }

  ~Buffer() {
    if (data_ != nullptr) {
      ::munmap(data_, size_bytes_);
    }
  }

  uint8_t* data() const { return data_; }
  size_t size_bytes() const { return size_bytes_; }

 private:
  static constexpr size_t page_bytes = 4096;
  static constexpr size_t huge_page_bytes = size_t{2} << 20;

  static uint8_t* map(size_t size_bytes) {
    void* address = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) {
      throw std::bad_alloc();
    }
    return static_cast<uint8_t*>(address);
  }

  // mmap aligns to 4 kB only, so one huge page more is mapped and what sticks out on both sides is given back.
  static uint8_t* map_huge(size_t size_bytes) {
    uint8_t* raw = map(size_bytes + huge_page_bytes);
    const size_t before = (huge_page_bytes - reinterpret_cast<uintptr_t>(raw) % huge_page_bytes) % huge_page_bytes;
    uint8_t* data = raw + before;
    if (before != 0) {
      ::munmap(raw, before);
    }
    ::munmap(data + size_bytes, huge_page_bytes - before);
#ifdef MADV_HUGEPAGE
    ::madvise(data, size_bytes, MADV_HUGEPAGE);  // only a wish: without huge pages everything still works
#endif
    return data;
  }

  uint8_t* data_ = nullptr;
  size_t size_bytes_ = 0;
};

}  // namespace baken::hamming
