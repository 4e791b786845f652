// What tests of an index folder share: a folder that goes away, an index as plain rows, random histories, and a hook that
// kills the process or fails a step. Include it, with check.hpp, in exactly one file of an executable.
#pragma once

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "../src/index_files.hpp"
#include "baken/index_folder.hpp"
#include "check.hpp"

namespace {

namespace fs = std::filesystem;

using baken::IndexError;
using baken::IndexFault;
using baken::IndexFolder;
using Code = std::array<uint8_t, 32>;
using Match = std::tuple<int64_t, int32_t, int64_t>;  // query_row, distance_bits, id

constexpr size_t code_bytes = 32;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    // A process that is killed leaves the same in memory as on a disk, and a thousand kills need not wait for one.
    const fs::path memory = "/dev/shm";
    const fs::path parent = ::access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path();
    std::string name = (parent / "baken-index-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::runtime_error("no temporary folder");
    }
    root_ = name;
  }
  ~TemporaryFolder() { fs::remove_all(root_); }

  std::string path() const { return (root_ / "index").string(); }
  fs::path file(const std::string& prefix) const {
    for (const auto& entry : fs::directory_iterator(path())) {
      if (entry.path().filename().string().starts_with(prefix)) {
        return entry.path();
      }
    }
    throw std::runtime_error("no file " + prefix);
  }

 private:
  fs::path root_;
};

baken::IndexOptions made() { return {"a database", true, 30}; }
baken::IndexOptions opened() { return {"a database", false, 30}; }

// A step of a history, and what the index holds after it.
struct Step {
  std::vector<int64_t> removed;
  std::vector<uint8_t> codes;
  std::vector<int64_t> ids;
  int64_t seq = -1;

  baken::IndexChange change() const {
    return {removed.data(), removed.size(), codes.data(), ids.data(), ids.size(), seq, true};
  }
};

// The same index as plain rows.
struct Oracle {
  std::vector<std::pair<Code, int64_t>> rows;
  int64_t seq = -1;

  void apply(const Step& step) {
    std::erase_if(rows, [&](const auto& row) {
      return std::find(step.removed.begin(), step.removed.end(), row.second) != step.removed.end();
    });
    for (size_t i = 0; i < step.ids.size(); ++i) {
      Code code;
      std::memcpy(code.data(), step.codes.data() + i * code_bytes, code_bytes);
      rows.emplace_back(code, step.ids[i]);
    }
    seq = std::max(seq, step.seq);
  }

  std::vector<Match> search(const std::vector<uint8_t>& queries, int radius_bits) const {
    std::vector<Match> found;
    for (size_t query = 0; query < queries.size() / code_bytes; ++query) {
      for (const auto& [code, id] : rows) {
        int32_t distance = 0;
        baken::hamming_distances(queries.data() + query * code_bytes, code.data(), 1, &distance);
        if (distance <= radius_bits) {
          found.emplace_back(static_cast<int64_t>(query), distance, id);
        }
      }
    }
    std::sort(found.begin(), found.end());
    return found;
  }
};

std::vector<Match> search(const IndexFolder& index, const std::vector<uint8_t>& queries, int radius_bits) {
  const baken::SearchResult result = index.search(queries.data(), queries.size() / code_bytes, radius_bits);
  std::vector<Match> found;
  for (size_t i = 0; i < result.id.size(); ++i) {
    found.emplace_back(result.query_row[i], result.distance_bits[i], result.id[i]);
  }
  return found;
}

std::vector<uint8_t> random_codes(size_t count, std::mt19937_64& rng) {
  std::vector<uint8_t> codes(count * code_bytes);
  for (uint8_t& byte : codes) {
    byte = static_cast<uint8_t>(rng());
  }
  return codes;
}

// `count` codes with ids from `first_id` on; removes ids of codes that came before.
Step random_step(size_t count, int64_t first_id, int64_t seq, std::mt19937_64& rng) {
  Step step{{}, random_codes(count, rng), {}, seq};
  for (size_t i = 0; i < count; ++i) {
    step.ids.push_back(first_id + static_cast<int64_t>(i));
    if (first_id > 0 && i % 3 == 0) {
      step.removed.push_back(static_cast<int64_t>(rng() % static_cast<uint64_t>(first_id)));
    }
  }
  return step;
}

bool equals(const IndexFolder& index, const Oracle& oracle) {
  std::vector<uint8_t> queries(code_bytes);
  for (size_t row = 0; row < oracle.rows.size(); row += 1 + oracle.rows.size() / 8) {
    queries.insert(queries.end(), oracle.rows[row].first.begin(), oracle.rows[row].first.end());
  }
  return index.size() == oracle.rows.size() && index.applied_seq() == oracle.seq &&
         search(index, queries, 90) == oracle.search(queries, 90);
}

IndexFault fault_of_opening(const TemporaryFolder& folder, const baken::IndexOptions& options = opened()) {
  try {
    const IndexFolder index(folder.path(), options);
    index.verify();
  } catch (const IndexError& error) {
    return error.fault();
  }
  throw std::runtime_error("it opened");
}

// One segment with removals, and a tail.
void make_small(const TemporaryFolder& folder) {
  std::mt19937_64 rng = check::fixed_rng();
  IndexFolder index(folder.path(), made());
  index.apply(random_step(20000, 0, 1, rng).change());
  index.apply(random_step(30, 20000, 2, rng).change());
}

void overwrite(const fs::path& path, std::streamoff offset, const std::string& bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(offset);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// The hook has no state of its own; tests are run one after another.
int steps_left = -1;  // until the process is killed or the step fails; -1: never
int failing_with = 0;
const char* failing_step = nullptr;
std::map<std::string, int> steps_seen;

int count_step(const char* step) {
  ++steps_seen[step];
  if (failing_step != nullptr) {
    return std::strcmp(step, failing_step) == 0 ? failing_with : 0;
  }
  if (steps_left >= 0 && steps_left-- == 0) {
    ::kill(::getpid(), SIGKILL);
  }
  return 0;
}

class Hook {
 public:
  Hook() { baken::index::step_hook = count_step; }
  ~Hook() {
    baken::index::step_hook = nullptr;
    steps_left = -1;
    failing_step = nullptr;
  }
};

}  // namespace
