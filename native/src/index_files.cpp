#include "index_files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>

namespace baken::index {
namespace {

constexpr mode_t owner_only = 0600;
constexpr auto lock_poll = std::chrono::milliseconds(1);

IndexFault fault_of(int error_number) {
  switch (error_number) {
    case ENOENT: return IndexFault::missing;
    case ENOSPC:
    case EFBIG:
    case EDQUOT: return IndexFault::disk_full;
    case EROFS:
    case EACCES:
    case EPERM: return IndexFault::read_only;
    default: return IndexFault::failed;
  }
}

}  // namespace

int (*step_hook)(const char* step) = nullptr;

void step(const char* name, const std::string& path) {
  const int error_number = step_hook == nullptr ? 0 : step_hook(name);
  if (error_number != 0) {
    fail(name, path, error_number);
  }
}

void fail(const std::string& doing, const std::string& path, int error_number) {
  throw IndexError(fault_of(error_number), "index: could not " + doing + " " + path + ": " +
                                               std::generic_category().message(error_number));
}

File::File(const std::string& path, int flags) : path_(path) {
  if ((flags & (O_CREAT | O_TRUNC)) != 0) {
    step("create", path_);
  }
  descriptor_ = ::open(path.c_str(), flags | O_CLOEXEC, owner_only);
  if (descriptor_ < 0) {
    fail("open", path_, errno);
  }
}

File::~File() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

size_t File::size_bytes() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    fail("look at", path_, errno);
  }
  return static_cast<size_t>(status.st_size);
}

bool File::is_in_place() const {
  struct stat here {};
  struct stat there {};
  return ::fstat(descriptor_, &here) == 0 && ::stat(path_.c_str(), &there) == 0 && here.st_ino == there.st_ino &&
         here.st_dev == there.st_dev;
}

void File::allocate(size_t size_bytes) {
  step("allocate", path_);
  const int error_number = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(size_bytes));
  if (error_number != 0) {
    fail("allocate", path_, error_number);
  }
}

void File::truncate(size_t size_bytes) {
  step("truncate", path_);
  if (::ftruncate(descriptor_, static_cast<off_t>(size_bytes)) != 0) {
    fail("truncate", path_, errno);
  }
}

void File::write(const void* data, size_t size_bytes, size_t offset) {
  step("write", path_);
  const auto* next = static_cast<const uint8_t*>(data);
  while (size_bytes > 0) {
    const ssize_t written = ::pwrite(descriptor_, next, size_bytes, static_cast<off_t>(offset));
    if (written < 0 && errno != EINTR) {
      fail("write", path_, errno);
    }
    const size_t advanced = written < 0 ? 0 : static_cast<size_t>(written);
    next += advanced;
    offset += advanced;
    size_bytes -= advanced;
  }
}

size_t File::read(void* data, size_t size_bytes, size_t offset) const {
  auto* next = static_cast<uint8_t*>(data);
  size_t total = 0;
  while (total < size_bytes) {
    const ssize_t got = ::pread(descriptor_, next + total, size_bytes - total, static_cast<off_t>(offset + total));
    if (got == 0) {
      break;
    }
    if (got < 0 && errno != EINTR) {
      fail("read", path_, errno);
    }
    total += got < 0 ? 0 : static_cast<size_t>(got);
  }
  return total;
}

void File::sync() {
  step("sync", path_);
  if (::fdatasync(descriptor_) != 0) {
    fail("sync", path_, errno);
  }
}

void File::begin_sync(size_t offset, size_t size_bytes) const {
#ifdef SYNC_FILE_RANGE_WRITE
  // Without effect on some filesystems; sync() says what fails.
  ::sync_file_range(descriptor_, static_cast<off64_t>(offset), static_cast<off64_t>(size_bytes),
                    SYNC_FILE_RANGE_WRITE);
#endif
}

void File::forget(size_t offset, size_t size_bytes) const {
  ::posix_fadvise(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(size_bytes), POSIX_FADV_DONTNEED);
}

FileStamp File::stamp() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    fail("look at", path_, errno);
  }
  constexpr int64_t ns_a_second = 1'000'000'000;
  return {status.st_ino, status.st_mtim.tv_sec * ns_a_second + status.st_mtim.tv_nsec};
}

Mapping::Mapping(const File& file, size_t size_bytes, MapMode mode) : size_bytes_(size_bytes) {
  const int protection = mode == MapMode::read ? PROT_READ : PROT_READ | PROT_WRITE;
  const int sharing = mode == MapMode::copy ? MAP_PRIVATE : MAP_SHARED;
  void* address = ::mmap(nullptr, size_bytes, protection, sharing, file.descriptor(), 0);
  if (address == MAP_FAILED) {
    fail("map", file.path(), errno);
  }
  data_ = static_cast<uint8_t*>(address);
}

Mapping::~Mapping() {
  if (data_ != nullptr) {
    ::munmap(data_, size_bytes_);
  }
}

void Mapping::wish_for_huge_pages() const {
#ifdef MADV_HUGEPAGE
  ::madvise(data_, size_bytes_, MADV_HUGEPAGE);  // without huge pages everything still works
#endif
}

bool Mapping::is_any_resident(size_t offset, size_t size_bytes) const {
  const auto page_size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages((size_bytes + page_size - 1) / page_size);
  if (::mincore(data_ + offset, size_bytes, pages.data()) != 0) {
    return true;
  }
  return std::any_of(pages.begin(), pages.end(), [](unsigned char page) { return (page & 1) != 0; });
}

FileLock::FileLock(const File& file, double timeout_seconds) : file_(file) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(timeout_seconds);
  while (::flock(file.descriptor(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      fail("lock", file.path(), errno);
    }
    if (std::chrono::steady_clock::now() >= end) {
      throw IndexError(IndexFault::locked, "index: " + file.path() + " is locked by another process that writes");
    }
    std::this_thread::sleep_for(lock_poll);
  }
}

FileLock::~FileLock() { ::flock(file_.descriptor(), LOCK_UN); }

void swap_file(const std::string& path, std::span<const uint8_t> bytes) {
  const std::string next = path + ".next";
  File file(next, O_WRONLY | O_CREAT | O_TRUNC);
  file.write(bytes.data(), bytes.size(), 0);
  file.sync();
  rename_file(next, path);
}

void rename_file(const std::string& from, const std::string& to) {
  step("rename", from);
  if (::rename(from.c_str(), to.c_str()) != 0) {
    fail("rename", from, errno);
  }
  sync_folder(std::filesystem::path(to).parent_path().string());
}

void remove_file(const std::string& path) {
  step("remove", path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    fail("remove", path, errno);
  }
}

void sync_folder(const std::string& path) {
  step("sync", path);
  const File folder(path, O_RDONLY | O_DIRECTORY);
  if (::fsync(folder.descriptor()) != 0) {
    fail("sync", path, errno);
  }
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    fail("make", path, error.value());
  }
}

std::vector<std::string> names_in(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) {
    fail("list", folder, error.value());
  }
  return names;
}

}  // namespace baken::index
