#if defined(__x86_64__)

#include <immintrin.h>

#include "pdq_passes.hpp"

namespace baken {
namespace {

struct Lane {
  using Floats = __m512;
  static constexpr std::size_t width = 16;

  static __m512 fill(float value) { return _mm512_set1_ps(value); }

  static __m512 load(const float* from) { return _mm512_loadu_ps(from); }

  static __m512 load_bytes(const uint8_t* from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
  }

  static void store(float* to, __m512 values) { _mm512_storeu_ps(to, values); }

  static __m512 add(__m512 left, __m512 right) { return _mm512_add_ps(left, right); }

  static __m512 multiply(__m512 left, __m512 right) { return _mm512_mul_ps(left, right); }

  static float fold(const __m512 (&columns)[1]) {
    const __m256 eights = _mm256_add_ps(_mm512_castps512_ps256(columns[0]), _mm512_extractf32x8_ps(columns[0], 1));
    const __m128 fours = _mm_add_ps(_mm256_castps256_ps128(eights), _mm256_extractf128_ps(eights, 1));
    const __m128 twos = _mm_add_ps(fours, _mm_movehl_ps(fours, fours));
    return _mm_cvtss_f32(_mm_add_ss(twos, _mm_movehdup_ps(twos)));
  }
};

}  // namespace

const PdqPasses& pdq_passes_avx512() {
  static constexpr PdqPasses passes = passes_over<Lane>();
  return passes;
}

}  // namespace baken

#endif
