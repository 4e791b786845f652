// Which instruction path the kernels take. One binary holds them all; the best one the machine has is chosen at run time.
#pragma once

#include <string_view>
#include <vector>

namespace baken {

enum class InstructionPath { scalar, avx2, avx512 };

// The paths this machine can run, slowest first; `scalar` is always among them.
std::vector<InstructionPath> supported_paths();

// The path that kernels take now: the last of `supported_paths()` until `force_path` says otherwise.
InstructionPath active_path();

// Makes every later kernel call, on any thread, take `path`. Throws std::invalid_argument when the machine lacks it.
void force_path(InstructionPath path);

std::string_view path_name(InstructionPath path);

// The path of that name. Throws std::invalid_argument for an unknown one.
InstructionPath path_from_name(std::string_view name);

}  // namespace baken
