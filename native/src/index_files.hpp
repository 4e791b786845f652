// Files, mappings and locks that close themselves, and every system call that writes, each behind a step that a test
// may stop or fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "baken/index_folder.hpp"

namespace baken::index {

// Called before each step that changes what other processes or a later one see. A test sets it to end the process
// there, or to return an errno that the step then fails with; null otherwise.
extern int (*step_hook)(const char* step);

// Throws IndexError when the hook asks for it.
void step(const char* name, const std::string& path);

// The error of a system call that failed on `path` and set `error_number`.
[[noreturn]] void fail(const std::string& doing, const std::string& path, int error_number);

// A file that nobody touched since it was written, or read through, has the same.
struct FileStamp {
  uint64_t inode = 0;
  int64_t modified_ns = 0;

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

class File {
 public:
  File() = default;
  // Throws IndexError(missing) when there is no such file and `flags` do not create it.
  File(const std::string& path, int flags);
  File(File&& other) noexcept : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~File();

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  size_t size_bytes() const;
  // Whether the path still leads to this file: not when someone deleted it, or its folder.
  bool is_in_place() const;

  // Takes the space on the disk now, so that no later write into a mapping meets a full one.
  void allocate(size_t size_bytes);
  void truncate(size_t size_bytes);
  void write(const void* data, size_t size_bytes, size_t offset);
  // How many bytes there were, less than asked for only at the end of the file.
  size_t read(void* data, size_t size_bytes, size_t offset) const;
  void sync();
  // Starts to bring these bytes to the disk, so that a later sync() has little left to do.
  void begin_sync(size_t offset, size_t size_bytes) const;
  // Lets the system drop these bytes from its cache, unless someone maps them.
  void forget(size_t offset, size_t size_bytes) const;
  FileStamp stamp() const;

 private:
  std::string path_;
  int descriptor_ = -1;
};

enum class MapMode {
  read,   // sees what others write
  write,  // and others see what is written here
  copy,   // what is written here stays here; needs no right to write the file
};

// A whole file in memory, shared with all who map it.
class Mapping {
 public:
  Mapping() = default;
  Mapping(const File& file, size_t size_bytes, MapMode mode);
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_bytes_, other.size_bytes_);
    return *this;
  }
  ~Mapping();

  uint8_t* data() const { return data_; }
  size_t size_bytes() const { return size_bytes_; }
  // Pages of 2 MB where the system has them for files.
  void wish_for_huge_pages() const;
  // Whether any of these bytes is in memory now; `offset` is that of a page.
  bool is_any_resident(size_t offset, size_t size_bytes) const;

 private:
  uint8_t* data_ = nullptr;
  size_t size_bytes_ = 0;
};

// Holds an flock(2) of a file until it goes.
class FileLock {
 public:
  // Throws IndexError(locked) when another holds it for longer.
  FileLock(const File& file, double timeout_seconds);
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  const File& file_;
};

// Replaces `path` by a file of these bytes; whoever opens it finds the old or the new, after a power cut too.
void swap_file(const std::string& path, std::span<const uint8_t> bytes);
void rename_file(const std::string& from, const std::string& to);
void remove_file(const std::string& path);
void sync_folder(const std::string& path);
void make_folder(const std::string& path);
std::vector<std::string> names_in(const std::string& folder);

}  // namespace baken::index
