// A sound index folder, damaged in places that the input names, and used in every way. Checksums are mended where the input
// says so: damage then reaches what lies behind them. Nothing but IndexError may come out.
#include <fuzzer/FuzzedDataProvider.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "../src/index_checksum.hpp"
#include "../src/index_format.hpp"
#include "baken/index_folder.hpp"

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<uint8_t>;
using Files = std::map<std::string, Bytes>;

constexpr size_t code_bytes = 32;
constexpr size_t rows = 300;
constexpr size_t most_edits = 8;

fs::path new_folder() {
  const fs::path parent = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : fs::temp_directory_path();
  std::string name = (parent / "baken-fuzz-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    std::abort();
  }
  return name;
}

Bytes codes_of(size_t count, uint64_t seed) {
  std::mt19937_64 rng(seed);
  Bytes codes(count * code_bytes);
  std::generate(codes.begin(), codes.end(), [&] { return static_cast<uint8_t>(rng()); });
  return codes;
}

void add(baken::IndexFolder& index, size_t count, int64_t first_id, int64_t seq, const std::vector<int64_t>& removed = {}) {
  const Bytes codes = codes_of(count, static_cast<uint64_t>(seq));
  std::vector<int64_t> ids(count);
  for (size_t row = 0; row < count; ++row) {
    ids[row] = first_id + static_cast<int64_t>(row);
  }
  index.apply({removed.data(), removed.size(), codes.data(), ids.data(), count, seq, false});
}

// A segment with removed rows, and a tail with two batches.
Files sound_index() {
  const fs::path root = new_folder();
  const std::string path = (root / "index").string();
  {
    baken::IndexFolder index(path, {"a database", true, 30});
    baken::IndexBuild build(index);
    const Bytes codes = codes_of(rows, 1);
    std::vector<int64_t> ids(rows);
    for (size_t row = 0; row < rows; ++row) {
      ids[row] = static_cast<int64_t>(row);
    }
    build.add(codes.data(), ids.data(), rows);
    build.finish(1, 7);
    add(index, 20, 1000, 2, {3, 4, 5});
    add(index, 5, 2000, 3, {1001});
  }
  Files files;
  for (const auto& entry : fs::directory_iterator(path)) {
    std::ifstream file(entry.path(), std::ios::binary);
    files[entry.path().filename().string()] = Bytes(std::istreambuf_iterator<char>(file), {});
  }
  fs::remove_all(root);
  return files;
}

template <typename Value>
bool fits(const Bytes& file, size_t offset) {
  return offset <= file.size() && file.size() - offset >= sizeof(Value);
}

// Every checksum that can be told from the file alone is what its bytes come to.
void mend(Bytes& file) {
  using namespace baken::index;
  if (!fits<Preamble>(file, 0)) {
    return;
  }
  const bool is_segment = std::memcmp(file.data(), segment_magic.data(), segment_magic.size()) == 0;
  if (is_segment && fits<SegmentHeader>(file, 0)) {
    SegmentHeader header;
    std::memcpy(&header, file.data(), sizeof header);
    for (Section& section : header.sections) {
      if (section.offset <= file.size() && section.size_bytes <= file.size() - section.offset) {
        section.checksum = checksum(file.data() + section.offset, section.size_bytes);
      }
    }
    std::memcpy(file.data(), &header, sizeof header);
  }
  Preamble preamble;
  std::memcpy(&preamble, file.data(), sizeof preamble);
  if (preamble.header_bytes >= sizeof preamble && preamble.header_bytes <= file.size()) {
    preamble.header_checksum = checksum(file.data() + sizeof preamble, preamble.header_bytes - sizeof preamble);
    std::memcpy(file.data(), &preamble, sizeof preamble);
  }
  size_t at = std::memcmp(file.data(), tail_magic.data(), tail_magic.size()) == 0 ? page_bytes : file.size();
  while (fits<BatchHeader>(file, at)) {
    BatchHeader batch;
    std::memcpy(&batch, file.data() + at, sizeof batch);
    if (batch.mark != batch_mark || batch.size_bytes < sizeof batch || batch.size_bytes > file.size() - at) {
      break;
    }
    const size_t after = offsetof(BatchHeader, size_bytes);
    batch.checksum = checksum(file.data() + at + after, batch.size_bytes - after);
    std::memcpy(file.data() + at, &batch, sizeof batch);
    at += batch.size_bytes;
  }
}

void damage(Bytes& file, FuzzedDataProvider& data) {
  const size_t size = file.size();
  // Headers are where a reader can be led astray; sections begin at whole pages.
  const size_t page = data.ConsumeBool() ? 0 : data.ConsumeIntegralInRange<size_t>(0, size / baken::index::page_bytes);
  const size_t offset = page * baken::index::page_bytes + data.ConsumeIntegralInRange<size_t>(0, 400);
  switch (data.ConsumeIntegralInRange<int>(0, 5)) {
    case 0:
      file.resize(data.ConsumeIntegralInRange<size_t>(0, size + 100));
      return;
    case 1: {
      const auto value = data.ConsumeIntegral<uint64_t>();
      if (fits<uint64_t>(file, offset / 8 * 8)) {
        std::memcpy(file.data() + offset / 8 * 8, &value, sizeof value);
      }
      return;
    }
    case 2: {
      const auto value = data.ConsumeIntegral<uint32_t>();
      if (fits<uint32_t>(file, offset / 4 * 4)) {
        std::memcpy(file.data() + offset / 4 * 4, &value, sizeof value);
      }
      return;
    }
    default: {
      const auto bytes = data.ConsumeBytes<uint8_t>(data.ConsumeIntegralInRange<size_t>(1, 16));
      if (offset <= size && bytes.size() <= size - offset) {
        std::copy(bytes.begin(), bytes.end(), file.begin() + static_cast<std::ptrdiff_t>(offset));
      }
    }
  }
}

template <typename Call>
void refused_or_done(Call call) {
  try {
    call();
  } catch (const baken::IndexError&) {
  }
}

void use(const std::string& path) {
  const Bytes asked = codes_of(3, 1);
  refused_or_done([&] {
    baken::IndexFolder index(path, {"a database", false, 0});
    refused_or_done([&] { index.search(asked.data(), 3, 31); });
    refused_or_done([&] { index.search(asked.data(), 3, 60); });
    refused_or_done([&] { index.explain(31); });
    refused_or_done([&] { index.verify(); });
    refused_or_done([&] { add(index, 3, 5000, 9, {1, 2}); });
    refused_or_done([&] { index.merge(0, true); });
    refused_or_done([&] { index.search(asked.data(), 1, 31); });
    refused_or_done([&] { index.clear(); });
  });
  refused_or_done([&] { baken::IndexFolder(path, {"a database", true, 0}); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const Files sound = sound_index();
  static const fs::path root = new_folder();
  FuzzedDataProvider data(bytes, size);
  Files files = sound;
  const bool is_mended = data.ConsumeIntegralInRange<int>(0, 3) != 0;
  const size_t edits = data.ConsumeIntegralInRange<size_t>(1, most_edits);
  for (size_t edit = 0; edit < edits && data.remaining_bytes() > 0; ++edit) {
    auto file = files.begin();
    std::advance(file, data.ConsumeIntegralInRange<size_t>(0, files.size() - 1));
    damage(file->second, data);
    if (is_mended) {
      mend(file->second);
    }
  }
  const fs::path path = root / "index";
  fs::create_directory(path);
  for (const auto& [name, content] : files) {
    std::ofstream(path / name, std::ios::binary).write(reinterpret_cast<const char*>(content.data()),
                                                       static_cast<std::streamsize>(content.size()));
  }
  use(path.string());
  fs::remove_all(path);
  return 0;
}
