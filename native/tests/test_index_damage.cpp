#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <functional>
#include <thread>

#include "../src/index_checksum.hpp"
#include "../src/index_format.hpp"
#include "baken/cpu.hpp"
#include "index_history.hpp"

namespace {

constexpr uid_t nobody = 65534;

// Changes a byte as failing hardware does: the file's times stay.
void damage_quietly(const fs::path& path, std::streamoff offset) {
  struct stat before {};
  CHECK_EQ(::stat(path.c_str(), &before), 0);
  overwrite(path, offset, "?");
  const struct timespec times[2] = {before.st_atim, before.st_mtim};
  CHECK_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

size_t steps_to_check(const IndexFolder& index, size_t step_bytes) {
  baken::IndexCheck check(index);
  size_t steps = 0;
  while (check.step(step_bytes) != 0) {
    ++steps;
  }
  return steps;
}

template <typename Call>
IndexFault fault_of(Call call) {
  try {
    call();
  } catch (const IndexError& error) {
    return error.fault();
  }
  throw std::runtime_error("it did not throw");
}

// Runs `body` in a process that may read the folder and not write it; returns whether it returned true.
bool where_it_may_only_read(const TemporaryFolder& folder, const std::function<bool()>& body) {
  const fs::perms readable = fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read;
  const fs::perms enterable = readable | fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec;
  fs::permissions(fs::path(folder.path()).parent_path(), enterable | fs::perms::owner_write);
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    fs::permissions(entry.path(), readable);
  }
  fs::permissions(folder.path(), enterable);
  const pid_t child = ::fork();
  if (child == 0) {
    bool fine = false;
    try {
      fine = (::getuid() != 0 || ::setuid(nobody) == 0) && body();
    } catch (const std::exception& error) {
      std::printf("%s\n", error.what());
      std::fflush(stdout);
    }
    ::_exit(fine ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  fs::permissions(folder.path(), enterable | fs::perms::owner_write);
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    fs::permissions(entry.path(), readable | fs::perms::owner_write);
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// As make_small, with the rows that it holds.
Oracle make_known(const TemporaryFolder& folder) {
  std::mt19937_64 rng = check::fixed_rng();
  IndexFolder index(folder.path(), made());
  Oracle oracle;
  for (const Step& step : {random_step(20000, 0, 1, rng), random_step(30, 20000, 2, rng)}) {
    index.apply(step.change());
    oracle.apply(step);
  }
  return oracle;
}

}  // namespace

TEST(the_two_ways_to_a_checksum_agree) {
  std::mt19937_64 rng = check::fixed_rng();
  const std::vector<uint8_t> bytes = random_codes(40, rng);
  for (size_t size_bytes = 0; size_bytes < 100; ++size_bytes) {
    const uint32_t before = static_cast<uint32_t>(rng());
    CHECK_EQ(baken::index::checksum_scalar(bytes.data() + size_bytes % 7, size_bytes, before),
             baken::index::checksum_sse42(bytes.data() + size_bytes % 7, size_bytes, before));
  }
}

TEST(a_segment_that_someone_wrote_into_is_found_when_it_is_opened) {
  const TemporaryFolder folder;
  const Oracle oracle = make_known(folder);
  const fs::path segment = folder.file("segment-");
  for (const std::streamoff offset : {4096 + 77, 900'000, static_cast<int>(fs::file_size(segment)) / 2}) {
    const std::string copy = folder.path() + ".copy";
    fs::copy(folder.path(), copy, fs::copy_options::recursive);
    overwrite(fs::path(copy) / segment.filename(), offset, "?!");
    CHECK(fault_of([&] { IndexFolder(copy, opened()); }) == IndexFault::corrupt);
    fs::remove_all(copy);
  }
  CHECK(equals(IndexFolder(folder.path(), opened()), oracle));
}

TEST(a_sound_index_that_was_copied_is_read_through_once_and_opened) {
  const TemporaryFolder folder;
  const Oracle oracle = make_known(folder);
  const std::string copy = folder.path() + ".copy";
  fs::copy(folder.path(), copy, fs::copy_options::recursive);
  CHECK(equals(IndexFolder(copy, opened()), oracle));
  // From now on it is known: what changes without a trace is not looked for when it is opened.
  fs::remove_all(folder.path());
  fs::rename(copy, folder.path());
  damage_quietly(folder.file("segment-"), 4096 + 77);
  const IndexFolder index(folder.path(), opened());
  CHECK(fault_of([&] { index.verify(); }) == IndexFault::corrupt);
}

TEST(a_segment_that_grew_is_refused) {
  const TemporaryFolder folder;
  make_small(folder);
  const fs::path segment = folder.file("segment-");
  fs::resize_file(segment, fs::file_size(segment) + 1);
  CHECK(fault_of_opening(folder) == IndexFault::corrupt);
}

TEST(a_check_in_pieces_finds_damage_in_every_section) {
  const TemporaryFolder folder;
  make_small(folder);
  const IndexFolder index(folder.path(), opened());
  CHECK(steps_to_check(index, 100'000) > 10);
  CHECK(steps_to_check(index, 777) > 1000);
  const fs::path segment = folder.file("segment-");
  baken::index::SegmentHeader header{};
  std::ifstream(segment, std::ios::binary).read(reinterpret_cast<char*>(&header), sizeof header);
  for (const baken::index::Section& section : header.sections) {
    if (section.size_bytes == 0) {
      continue;  // of a table that lies in another one's place
    }
    const auto offset = static_cast<std::streamoff>(section.offset + section.size_bytes - 1);
    std::fstream file(segment, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(offset);
    const char sound = static_cast<char>(file.get());
    overwrite(segment, offset, std::string(1, static_cast<char>(~sound)));
    CHECK(fault_of([&] { steps_to_check(index, 100'000); }) == IndexFault::corrupt);
    overwrite(segment, offset, std::string(1, sound));
  }
  CHECK(steps_to_check(index, 1 << 20) > 1);
}

TEST(a_merge_takes_over_no_damaged_row) {
  const TemporaryFolder folder;
  std::mt19937_64 rng = check::fixed_rng();
  IndexFolder index(folder.path(), made());
  index.apply(random_step(16384, 0, 1, rng).change());
  damage_quietly(folder.file("segment-"), 4096 + 77);
  index.apply(random_step(16384, 20000, 2, rng).change());
  CHECK(index.merge_due());
  CHECK(fault_of([&] { index.merge(); }) == IndexFault::corrupt);
  CHECK_EQ(index.segment_count(), size_t{2});
}

TEST(a_merge_keeps_to_its_rate_and_the_result_is_the_same) {
  const TemporaryFolder folder;
  std::mt19937_64 rng = check::fixed_rng();
  IndexFolder index(folder.path(), made());
  Oracle oracle;
  for (int64_t seq = 0; seq < 2; ++seq) {
    const Step step = random_step(16384, 20000 * seq, seq, rng);
    index.apply(step.change());
    oracle.apply(step);
  }
  CHECK_EQ(index.merge(size_t{64} << 20), size_t{1});
  CHECK(equals(index, oracle));
  index.verify();
}

TEST(a_process_that_may_only_read_searches_and_follows_what_others_write) {
  const TemporaryFolder folder;
  Oracle oracle = make_known(folder);
  IndexFolder writer(folder.path(), opened());
  std::mt19937_64 rng = check::fixed_rng(5);
  const Step step = random_step(40, 30000, 3, rng);
  Oracle after = oracle;
  after.apply(step);
  int ready[2];
  int written[2];
  CHECK_EQ(::pipe(ready) + ::pipe(written), 0);
  std::thread writing([&] {
    char go = 0;
    CHECK_EQ(::read(ready[0], &go, 1), ssize_t{1});
    writer.apply(step.change());
    CHECK_EQ(::write(written[1], "x", 1), ssize_t{1});
  });
  CHECK(where_it_may_only_read(folder, [&] {
    IndexFolder index(folder.path(), opened());
    char go = 0;
    bool fine = index.read_only() && equals(index, oracle) && ::write(ready[1], "x", 1) == 1 &&
                ::read(written[0], &go, 1) == 1 && equals(index, after);
    index.verify();
    for (const auto& write : std::vector<std::function<void()>>{[&] { index.clear(); }, [&] { index.merge(); },
                                                                [&] { index.condemn(); },
                                                                [&] { index.apply(step.change()); },
                                                                [&] { baken::IndexBuild give_up(index); }}) {
      fine = fine && fault_of(write) == IndexFault::read_only;
    }
    return fine;
  }));
  writing.join();
  for (const int end : {ready[0], ready[1], written[0], written[1]}) {
    ::close(end);
  }
  CHECK(equals(writer, after));
}

TEST(a_process_that_may_only_read_makes_good_for_itself_what_a_power_cut_left) {
  const TemporaryFolder folder;
  const Oracle oracle = make_known(folder);
  overwrite(folder.path() + "/control", 24, std::string(36, 'b'));
  const fs::path tail = folder.file("tail-");
  overwrite(tail, 64, std::string(24, '\0'));
  const fs::path removed = folder.file("removed-");
  overwrite(removed, 64, std::string(20000 / 8, '\0'));
  std::ofstream(tail, std::ios::app | std::ios::binary) << "a batch that was torn";
  const auto size_bytes = fs::file_size(tail);
  CHECK(where_it_may_only_read(folder, [&] { return equals(IndexFolder(folder.path(), opened()), oracle); }));
  CHECK_EQ(fs::file_size(tail), size_bytes);
  CHECK(equals(IndexFolder(folder.path(), opened()), oracle));
}

TEST(a_process_that_may_only_read_neither_makes_nor_empties_an_index) {
  const TemporaryFolder folder;
  make_small(folder);
  CHECK(where_it_may_only_read(folder, [&] {
    return fault_of([&] { IndexFolder(folder.path(), made()); }) == IndexFault::read_only;
  }));
  overwrite(folder.file("manifest"), 20, "?");
  CHECK(where_it_may_only_read(folder, [&] {
    return fault_of([&] { IndexFolder(folder.path(), opened()); }) == IndexFault::corrupt;
  }));
}

namespace {

// Random bytes, a few at a time, of [begin, end) of a file that others have mapped.
void scribble(const fs::path& path, uint64_t begin, uint64_t end, std::mt19937_64& rng) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  for (int i = 0; i < 40; ++i) {
    uint64_t noise = rng() >> (rng() % 64);  // small numbers too
    file.seekp(static_cast<std::streamoff>(begin + rng() % (end - begin)));
    file.write(reinterpret_cast<const char*>(&noise), static_cast<std::streamsize>(1 + rng() % 8));
  }
}

baken::index::SegmentHeader header_of(const fs::path& segment) {
  baken::index::SegmentHeader header{};
  std::ifstream(segment, std::ios::binary).read(reinterpret_cast<char*>(&header), sizeof header);
  return header;
}

// Calls `check_matches` with what is found of codes near banked ones, on every path and with several plans; damage that is
// noticed is an error of its own kind.
void search_in_every_way(const IndexFolder& index, const std::vector<uint8_t>& queries,
                         const std::function<void(const std::vector<Match>&, int)>& check_matches) {
  const baken::InstructionPath before = baken::active_path();
  for (const baken::InstructionPath path : baken::supported_paths()) {
    baken::force_path(path);
    for (const int radius_bits : {0, 12, 31}) {
      try {
        check_matches(search(index, queries, radius_bits), radius_bits);
      } catch (const IndexError& error) {
        CHECK(error.fault() == IndexFault::corrupt);
      }
    }
  }
  baken::force_path(before);
}

}  // namespace

TEST(damaged_tables_that_are_mapped_hide_matches_at_worst_and_invent_none) {
  const TemporaryFolder folder;
  const Oracle oracle = make_known(folder);
  const fs::path segment = folder.file("segment-");
  const baken::index::SegmentHeader header = header_of(segment);
  std::mt19937_64 rng = check::fixed_rng(7);
  std::vector<uint8_t> queries = random_codes(4, rng);
  for (size_t query = 0; query < 3; ++query) {
    std::memcpy(queries.data() + query * code_bytes, oracle.rows[query * 1000].first.data(), code_bytes);
  }
  const std::string copy = folder.path() + ".copy";
  size_t whole = 0;
  size_t noticed = 0;
  for (int round = 0; round < 60; ++round) {
    fs::copy(folder.path(), copy, fs::copy_options::recursive);
    const IndexFolder index(copy, opened());
    const size_t table = rng() % baken::hamming::table_count;
    const size_t section = rng() % 2 == 0 ? baken::hamming::directory_section(table) : baken::hamming::postings_section(table);
    const baken::index::Section& place = header.sections[section];
    if (place.size_bytes != 0) {
      scribble(fs::path(copy) / segment.filename(), place.offset, place.offset + place.size_bytes - 8, rng);
    }
    size_t answers = 0;
    search_in_every_way(index, queries, [&](const std::vector<Match>& found, int radius_bits) {
      ++answers;
      const std::vector<Match> all = oracle.search(queries, radius_bits);
      for (const Match& match : found) {
        CHECK(std::binary_search(all.begin(), all.end(), match));
      }
      whole += found == all ? 1 : 0;
    });
    noticed += 3 * baken::supported_paths().size() - answers;
    fs::remove_all(copy);
  }
  CHECK(whole > 0);
  CHECK(noticed > 0);
}

TEST(a_search_survives_any_byte_of_any_mapped_file) {
  const TemporaryFolder folder;
  const Oracle oracle = make_known(folder);
  std::mt19937_64 rng = check::fixed_rng(8);
  std::vector<uint8_t> queries = random_codes(4, rng);
  for (size_t query = 0; query < 3; ++query) {
    std::memcpy(queries.data() + query * code_bytes, oracle.rows[query * 1000].first.data(), code_bytes);
  }
  const std::string copy = folder.path() + ".copy";
  for (const char* name : {"segment-", "removed-", "tail-", "control"}) {
    for (int round = 0; round < 30; ++round) {
      fs::copy(folder.path(), copy, fs::copy_options::recursive);
      {
        IndexFolder index(copy, opened());
        CHECK(equals(index, oracle));
        const fs::path path = fs::path(copy) / folder.file(name).filename();
        scribble(path, 0, round % 2 == 0 ? std::min<uint64_t>(4096, fs::file_size(path)) : fs::file_size(path), rng);
        size_t answers = 0;
        search_in_every_way(index, queries, [&](const std::vector<Match>&, int) { ++answers; });
        try {
          index.apply(random_step(50, 20'000, 9, rng).change());
          index.verify();
        } catch (const IndexError& error) {
          CHECK(error.fault() != IndexFault::missing);
        }
      }
      fs::remove_all(copy);
    }
  }
}
