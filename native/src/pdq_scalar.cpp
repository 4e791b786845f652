#include <cstring>

#include "pdq_passes.hpp"

namespace baken {
namespace {

// Four floats in the compiler's own vector type: every 64-bit machine has them without asking for an instruction set.
struct Lane {
  using Floats = float __attribute__((vector_size(16)));
  using Integers = int32_t __attribute__((vector_size(16)));
  static constexpr std::size_t width = 4;

  static Floats fill(float value) { return Floats{value, value, value, value}; }

  static Floats load(const float* from) {
    Floats values;
    std::memcpy(&values, from, sizeof values);
    return values;
  }

  static Floats load_bytes(const uint8_t* from) {
    return __builtin_convertvector((Integers{from[0], from[1], from[2], from[3]}), Floats);
  }

  static void store(float* to, Floats values) { std::memcpy(to, &values, sizeof values); }

  static Floats add(Floats left, Floats right) { return left + right; }

  static Floats multiply(Floats left, Floats right) { return left * right; }

  static float fold(const Floats (&columns)[4]) {
    const Floats fours = (columns[0] + columns[2]) + (columns[1] + columns[3]);
    return (fours[0] + fours[2]) + (fours[1] + fours[3]);
  }
};

}  // namespace

const PdqPasses& pdq_passes_scalar() {
  static constexpr PdqPasses passes = passes_over<Lane>();
  return passes;
}

}  // namespace baken
