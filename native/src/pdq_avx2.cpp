#if defined(__x86_64__)

#include <immintrin.h>

#include "pdq_passes.hpp"

namespace baken {
namespace {

struct Lane {
  using Floats = __m256;
  static constexpr std::size_t width = 8;

  static __m256 fill(float value) { return _mm256_set1_ps(value); }

  static __m256 load(const float* from) { return _mm256_loadu_ps(from); }

  static __m256 load_bytes(const uint8_t* from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
  }

  static void store(float* to, __m256 values) { _mm256_storeu_ps(to, values); }

  static __m256 add(__m256 left, __m256 right) { return _mm256_add_ps(left, right); }

  static __m256 multiply(__m256 left, __m256 right) { return _mm256_mul_ps(left, right); }

  static float fold(const __m256 (&columns)[2]) {
    const __m256 eights = _mm256_add_ps(columns[0], columns[1]);
    const __m128 fours = _mm_add_ps(_mm256_castps256_ps128(eights), _mm256_extractf128_ps(eights, 1));
    const __m128 twos = _mm_add_ps(fours, _mm_movehl_ps(fours, fours));
    return _mm_cvtss_f32(_mm_add_ss(twos, _mm_movehdup_ps(twos)));
  }
};

}  // namespace

const PdqPasses& pdq_passes_avx2() {
  static constexpr PdqPasses passes = passes_over<Lane>();
  return passes;
}

}  // namespace baken

#endif
