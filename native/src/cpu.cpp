#include "baken/cpu.hpp"

#include <array>
#include <atomic>
#include <stdexcept>
#include <string>

namespace baken {
namespace {

constexpr std::array<InstructionPath, 3> all_paths = {InstructionPath::scalar, InstructionPath::avx2,
                                                      InstructionPath::avx512};

#if defined(__x86_64__)
// __builtin_cpu_supports also asks the operating system whether it saves the wide registers.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vpopcntdq");
}
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
#endif

bool is_supported(InstructionPath path) {
  switch (path) {
    case InstructionPath::scalar: return true;
    case InstructionPath::avx2: return has_avx2();
    case InstructionPath::avx512: return has_avx512();
  }
  return false;
}

std::string names_of(const std::vector<InstructionPath>& paths) {
  std::string names;
  for (InstructionPath path : paths) {
    names += (names.empty() ? "" : ", ") + std::string(path_name(path));
  }
  return names;
}

std::atomic<InstructionPath>& chosen_path() {
  static std::atomic<InstructionPath> path{supported_paths().back()};
  return path;
}

}  // namespace

std::vector<InstructionPath> supported_paths() {
  std::vector<InstructionPath> paths;
  for (InstructionPath path : all_paths) {
    if (is_supported(path)) {
      paths.push_back(path);
    }
  }
  return paths;
}

InstructionPath active_path() { return chosen_path().load(std::memory_order_relaxed); }

void force_path(InstructionPath path) {
  if (!is_supported(path)) {
    throw std::invalid_argument("instruction path: got " + std::string(path_name(path)) +
                                ", expected one this machine has: " + names_of(supported_paths()) +
                                "; choose one of these.");
  }
  chosen_path().store(path, std::memory_order_relaxed);
}

std::string_view path_name(InstructionPath path) {
  switch (path) {
    case InstructionPath::scalar: return "scalar";
    case InstructionPath::avx2: return "avx2";
    case InstructionPath::avx512: return "avx512";
  }
  return "unknown";
}

InstructionPath path_from_name(std::string_view name) {
  for (InstructionPath path : all_paths) {
    if (path_name(path) == name) {
      return path;
    }
  }
  throw std::invalid_argument("instruction path: got '" + std::string(name) + "', expected one of " +
                              names_of(supported_paths()) + "; choose one of these.");
}

}  // namespace baken
