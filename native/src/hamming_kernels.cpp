#include "hamming_kernels.hpp"

#include "baken/cpu.hpp"
#include "baken/hamming_index.hpp"

namespace baken {
namespace hamming {

const Kernels* kernels_of(size_t path) {
#if defined(__x86_64__)
  static constexpr const Kernels* compiled[path_count] = {&scalar_kernels, &avx2_kernels, &avx512_kernels};
#else
  static constexpr const Kernels* compiled[path_count] = {&scalar_kernels, nullptr, nullptr};
#endif
  return compiled[path];
}

const Kernels& active_kernels() {
#if defined(__x86_64__)
  switch (active_path()) {
    case InstructionPath::avx512: return avx512_kernels;
    case InstructionPath::avx2: return avx2_kernels;
    case InstructionPath::scalar: break;
  }
#endif
  return scalar_kernels;
}

}  // namespace hamming

void hamming_distances(const uint8_t* query, const uint8_t* codes, size_t count, int32_t* out) {
  hamming::active_kernels().distances(query, codes, count, out);
}

}  // namespace baken
