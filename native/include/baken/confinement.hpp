// Takes from this process, for good, what a decoder of hostile files never needs.
#pragma once

#include <string>
#include <vector>

namespace baken {

// What became of each part: empty when it holds, else why the system refused it, in words.
struct Confinement {
  std::string system_calls;
  std::string files;
};

// Confine this process and every thread it starts. Call it while it has one thread.
//
// System calls (seccomp-BPF, x86-64 and aarch64): only those on a list. Files are opened for reading alone; there are no
// sockets, no new processes, no programs, no signals to others and no names to make, change or remove. What is not on
// the list fails with EPERM; a call of another architecture ends the process.
//
// Files (Landlock): only what lies in `readable`, folders or files, can be opened; a path that does not exist is left
// out. With `reads_everything`, the rights of the user decide, and nothing can be written.
//
// The process also gets no new rights, leaves no core dump, and is killed when the thread that started it ends.
Confinement confine(const std::vector<std::string>& readable, bool reads_everything);

}  // namespace baken
