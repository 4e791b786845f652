#include <fcntl.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

#include "index_state.hpp"

namespace baken::index {
namespace {

constexpr size_t boot_id_characters = 36;
constexpr int generation_bits_a_second = 16;

// Changes whenever the machine starts; empty where the system does not tell.
std::string boot_id() {
  try {
    const File file("/proc/sys/kernel/random/boot_id", O_RDONLY);
    std::string text(boot_id_characters, '\0');
    text.resize(file.read(text.data(), text.size(), 0));
    return text;
  } catch (const IndexError&) {
    return {};
  }
}

void write_new_control(const std::string& path) {
  File file(path, O_RDWR | O_CREAT);
  file.allocate(page_bytes);
  ControlHeader header{};
  // Whoever maps the file that this replaces must see another generation.
  header.generation = static_cast<uint64_t>(std::time(nullptr)) << generation_bits_a_second;
  seal(&header, control_magic, control_header_bytes);
  file.write(&header, sizeof header, 0);
}

Mapping map_control(const std::string& path, MapMode mode) {
  const File file(path, mode == MapMode::write ? O_RDWR : O_RDONLY);
  std::vector<uint8_t> page(page_bytes);
  const size_t got_bytes = file.read(page.data(), page.size(), 0);
  check_preamble(page.data(), got_bytes == page_bytes ? got_bytes : std::min(got_bytes, sizeof(Preamble) - 1),
                 control_magic, control_header_bytes, path);
  return Mapping(file, page_bytes, mode);
}

}  // namespace

Control::Control(const std::string& folder, bool create, MapMode mode) : path_(folder + "/control") {
  try {
    mapping_ = map_control(path_, mode);
  } catch (const IndexError& error) {
    if (!create || error.fault() == IndexFault::newer || error.fault() == IndexFault::read_only) {
      throw;
    }
    write_new_control(path_);
    mapping_ = map_control(path_, mode);
  }
}

bool Control::of_this_boot() const {
  const std::string now = boot_id();
  return !now.empty() && std::equal(now.begin(), now.end(), header().boot_id.begin());
}

void Control::set_boot() {
  const std::string now = boot_id();
  step("boot", path_);
  std::copy(now.begin(), now.end(), header().boot_id.begin());
}

void Control::set_generation(uint64_t generation) {
  step("generation", path_);
  header().generation.store(generation, std::memory_order_release);
}

void Control::skip_numbers_to(uint64_t number) {
  if (header().next_number.load() < number) {
    header().next_number.store(number);
  }
}

}  // namespace baken::index
