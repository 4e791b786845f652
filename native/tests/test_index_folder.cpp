#include <fcntl.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "../src/index_checksum.hpp"
#include "../src/index_format.hpp"
#include "index_history.hpp"

namespace {

// Steps that together freeze the tail, merge and empty a segment.
std::vector<Step> history() {
  std::mt19937_64 rng = check::fixed_rng(7);
  std::vector<Step> steps;
  int64_t next_id = 0;
  for (const size_t count : {3, 16384, 5, 16384, 2}) {
    steps.push_back(random_step(count, next_id, static_cast<int64_t>(steps.size()), rng));
    next_id += static_cast<int64_t>(count);
  }
  return steps;
}

// Applies the history, merges, and writes down after each step that it is acknowledged.
[[noreturn]] void run_history_and_exit(const std::string& path, const std::vector<Step>& steps, int acknowledged) {
  IndexFolder index(path, made());
  for (const Step& step : steps) {
    index.apply(step.change());
    const char done = 'x';
    if (::write(acknowledged, &done, 1) != 1) {
      ::_exit(3);
    }
  }
  index.merge();
  ::_exit(0);
}

}  // namespace

TEST(the_checksum_is_crc_32c) {
  CHECK_EQ(baken::index::checksum("123456789", 9), 0xE3069283U);
  CHECK_EQ(baken::index::checksum("6789", 4, baken::index::checksum("12345", 5)), 0xE3069283U);
}

TEST(an_index_equals_brute_force_while_it_is_written_merged_and_opened_again) {
  const TemporaryFolder folder;
  std::mt19937_64 rng = check::fixed_rng();
  Oracle oracle;
  int64_t next_id = 0;
  auto index = std::make_unique<IndexFolder>(folder.path(), made());
  const size_t counts[] = {1, 16384, 7, 2, 20000, 1, 3000, 16000, 5};
  for (size_t i = 0; i < std::size(counts); ++i) {
    const Step step = random_step(counts[i], next_id, static_cast<int64_t>(i), rng);
    next_id += static_cast<int64_t>(counts[i]);
    const size_t before = oracle.rows.size();
    oracle.apply(step);
    CHECK_EQ(index->apply(step.change()), before + counts[i] - oracle.rows.size());
    CHECK(equals(*index, oracle));
    if (i % 3 == 1) {
      index = std::make_unique<IndexFolder>(folder.path(), opened());
      CHECK(equals(*index, oracle));
    }
    if (i % 4 == 2) {
      index->merge();
      CHECK(!index->merge_due());
      CHECK(equals(*index, oracle));
    }
  }
  index->verify();
}

TEST(what_one_object_writes_another_sees_on_its_next_search) {
  const TemporaryFolder folder;
  std::mt19937_64 rng = check::fixed_rng();
  IndexFolder writer(folder.path(), made());
  IndexFolder reader(folder.path(), opened());
  IndexFolder other_writer(folder.path(), opened());
  Oracle oracle;
  int64_t next_id = 0;
  for (const size_t count : {5, 1, 17000, 4, 16384, 1}) {
    const Step step = random_step(count, next_id, next_id, rng);
    next_id += static_cast<int64_t>(count);
    (next_id % 2 == 0 ? writer : other_writer).apply(step.change());
    oracle.apply(step);
    CHECK(equals(reader, oracle));
  }
  other_writer.merge();
  CHECK(equals(reader, oracle));
  CHECK_EQ(reader.segment_count(), size_t{1});
  writer.clear();
  CHECK_EQ(reader.size(), size_t{0});
  CHECK_EQ(reader.applied_seq(), int64_t{-1});
}

TEST(a_large_tail_becomes_segments_and_few_remain_without_a_merge_call) {
  const TemporaryFolder folder;
  std::mt19937_64 rng = check::fixed_rng();
  IndexFolder index(folder.path(), made());
  const Step step = random_step(16384, 0, 1, rng);
  for (int i = 0; i < 30; ++i) {
    index.apply(step.change());
    CHECK(index.segment_count() <= 24);
  }
  CHECK_EQ(index.size(), size_t{30 * 16384});
}

TEST(settling_merges_what_a_merge_leaves_and_leaves_what_is_much_smaller) {
  const TemporaryFolder folder;
  std::mt19937_64 rng = check::fixed_rng();
  IndexFolder index(folder.path(), made());
  index.apply(random_step(200'000, 0, 1, rng).change());
  index.apply(random_step(40'000, 1'000'000, 2, rng).change());
  CHECK_EQ(index.segment_count(), size_t{2});
  CHECK(!index.merge_due());
  CHECK(index.merge_due(true));
  CHECK_EQ(index.merge(0, true), size_t{1});
  CHECK_EQ(index.segment_count(), size_t{1});
  index.verify();

  index.apply(random_step(16'384, 2'000'000, 3, rng).change());
  CHECK(index.merge_due(true));
  index.merge(0, true);
  index.apply(random_step(300'000, 3'000'000, 4, rng).change());
  index.merge(0, true);
  CHECK_EQ(index.segment_count(), size_t{1});
  index.apply(random_step(16'384, 4'000'000, 5, rng).change());
  CHECK(!index.merge_due(true));
  CHECK_EQ(index.segment_count(), size_t{2});
}

TEST(a_writer_killed_at_any_step_loses_nothing_acknowledged) {
  const std::vector<Step> steps = history();
  int killed = 1;
  int kills = 0;
  for (int after = 0; killed != 0; ++after) {
    const TemporaryFolder folder;
    int acknowledged[2];
    CHECK_EQ(::pipe(acknowledged), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const Hook hook;
      steps_left = after;
      run_history_and_exit(folder.path(), steps, acknowledged[1]);
    }
    ::close(acknowledged[1]);
    char done[16];
    size_t done_count = 0;
    for (ssize_t got = 1; (got = ::read(acknowledged[0], done, sizeof done)) > 0;) {
      done_count += static_cast<size_t>(got);
    }
    ::close(acknowledged[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    killed = WIFSIGNALED(status) ? 1 : 0;
    kills += killed;
    CHECK(killed != 0 || WEXITSTATUS(status) == 0);

    // A reader that opens now, and what a writer adds after it. An unacknowledged step counts whole or not at all.
    IndexFolder index(folder.path(), made());
    Oracle oracle;
    const size_t applied = static_cast<size_t>(index.applied_seq() + 1);
    CHECK(applied == done_count || applied == done_count + 1);
    for (size_t i = 0; i < applied; ++i) {
      oracle.apply(steps[i]);
    }
    CHECK(equals(index, oracle));
    for (size_t i = applied; i < steps.size(); ++i) {
      index.apply(steps[i].change());
      oracle.apply(steps[i]);
    }
    index.merge();
    CHECK(equals(index, oracle));
    index.verify();
  }
  CHECK(kills > 60);
}

TEST(after_a_power_cut_the_tail_counts_as_far_as_it_is_whole) {
  const TemporaryFolder folder;
  std::mt19937_64 rng = check::fixed_rng();
  Oracle oracle;
  {
    IndexFolder index(folder.path(), made());
    int64_t next_id = 0;
    for (const size_t count : {16384, 10, 20}) {
      const Step step = random_step(count, next_id, next_id, rng);
      next_id += static_cast<int64_t>(count);
      index.apply(step.change());
      oracle.apply(step);
    }
    index.apply(random_step(5, next_id, next_id, rng).change());
  }
  // Another run of the machine: the last batch is torn, and what was in mapped memory is as old as it may be.
  const fs::path tail = folder.file("tail-");
  fs::resize_file(tail, fs::file_size(tail) - 8);
  overwrite(folder.path() + "/control", 24, std::string(36, 'b'));
  overwrite(tail, 64, std::string(24, '\0'));
  const fs::path removed = folder.file("removed-");
  overwrite(removed, 64, std::string(16384 / 8, '\0'));
  CHECK(equals(IndexFolder(folder.path(), opened()), oracle));
}

TEST(each_kind_of_bad_file_has_its_own_fault) {
  const char* const files[] = {"manifest", "control", "segment-", "removed-", "tail-"};
  const auto fault_after = [](const char* file, std::streamoff offset, const std::string& bytes) {
    const TemporaryFolder folder;
    make_small(folder);
    overwrite(folder.file(file), offset, bytes);
    return fault_of_opening(folder);
  };
  for (const char* file : files) {
    CHECK(fault_after(file, 0, "BMPIMAGE") == IndexFault::foreign);
    CHECK(fault_after(file, 8, std::string("\1\2\3\4", 4)) == IndexFault::foreign);  // big-endian
    CHECK(fault_after(file, 12, std::string("\177\0\0\0", 4)) == IndexFault::newer);
    CHECK(fault_after(file, 20, "?") == IndexFault::corrupt);
    const TemporaryFolder folder;
    make_small(folder);
    fs::resize_file(folder.file(file), 30);
    CHECK(fault_of_opening(folder) == IndexFault::truncated);
    fs::remove(folder.file(file));
    CHECK(fault_of_opening(folder) ==
          (std::strchr(file, '-') == nullptr ? IndexFault::missing : IndexFault::corrupt));
  }
  CHECK(fault_after("segment-", 4096 + 77, "?") == IndexFault::corrupt);
  CHECK(fault_after("tail-", 4096 + 77, "?") == IndexFault::corrupt);
}

TEST(a_segment_cut_short_is_told_when_it_is_opened) {
  const TemporaryFolder folder;
  make_small(folder);
  const fs::path segment = folder.file("segment-");
  fs::resize_file(segment, fs::file_size(segment) - 1);
  CHECK(fault_of_opening(folder) == IndexFault::truncated);
}

TEST(an_index_of_another_database_is_refused_and_emptied_on_reset) {
  const TemporaryFolder folder;
  make_small(folder);
  CHECK(fault_of_opening(folder, {"another", false, 30}) == IndexFault::other_database);
  const IndexFolder index(folder.path(), {"another", true, 30});
  CHECK_EQ(index.size(), size_t{0});
  CHECK_EQ(index.applied_seq(), int64_t{-1});
}

TEST(a_reset_repairs_every_bad_file_but_a_newer_one) {
  for (const char* file : {"manifest", "control", "segment-", "removed-", "tail-"}) {
    const TemporaryFolder folder;
    make_small(folder);
    const IndexFolder reader(folder.path(), opened());
    overwrite(folder.file(file), 0, "BMPIMAGE");
    IndexFolder index(folder.path(), made());
    // The control words can be told from the other files; everything else must come from the database again.
    CHECK_EQ(index.applied_seq(), int64_t{std::strcmp(file, "control") == 0 ? 2 : -1});
    std::mt19937_64 rng = check::fixed_rng();
    index.clear();
    index.apply(random_step(9, 0, 77, rng).change());
    CHECK_EQ(reader.size(), size_t{9});  // which held the files of before
    CHECK_EQ(reader.applied_seq(), int64_t{77});
    index.verify();
  }
  const TemporaryFolder folder;
  make_small(folder);
  overwrite(folder.file("manifest"), 12, std::string("\177\0\0\0", 4));
  CHECK(fault_of_opening(folder, made()) == IndexFault::newer);
}

TEST(a_full_disk_changes_nothing_and_the_next_try_works) {
  std::mt19937_64 rng = check::fixed_rng();
  for (const char* step : {"write", "sync", "allocate", "create", "rename"}) {
    const TemporaryFolder folder;
    IndexFolder index(folder.path(), made());
    Oracle oracle;
    const Step first = random_step(100, 0, 1, rng);
    index.apply(first.change());
    oracle.apply(first);
    const Step second = random_step(16384, 100, 2, rng);
    {
      const Hook hook;
      failing_step = step;
      failing_with = ENOSPC;
      try {
        index.apply(second.change());
        CHECK(false);
      } catch (const IndexError& error) {
        CHECK(error.fault() == IndexFault::disk_full);
      }
    }
    // What fails behind the batch itself leaves the batch whole: it counts.
    if (index.applied_seq() == 2) {
      oracle.apply(second);
    }
    CHECK(equals(index, oracle));
    const Step third = random_step(16384, 20000, 3, rng);
    index.apply(third.change());
    oracle.apply(third);
    CHECK(equals(index, oracle));
    CHECK(equals(IndexFolder(folder.path(), opened()), oracle));
  }
}

TEST(a_read_only_folder_is_told_and_readers_go_on) {
  const TemporaryFolder folder;
  make_small(folder);
  IndexFolder index(folder.path(), opened());
  const Hook hook;
  failing_step = "write";
  failing_with = EROFS;
  std::mt19937_64 rng = check::fixed_rng();
  try {
    index.apply(random_step(1, 0, 9, rng).change());
    CHECK(false);
  } catch (const IndexError& error) {
    CHECK(error.fault() == IndexFault::read_only);
  }
  CHECK_EQ(index.applied_seq(), int64_t{2});
}

TEST(a_writer_that_waits_too_long_says_so) {
  const TemporaryFolder folder;
  make_small(folder);
  IndexFolder index(folder.path(), {"a database", false, 0.02});
  const baken::index::File other(folder.path() + "/lock", O_RDWR);
  const baken::index::FileLock held(other, 0);
  try {
    index.clear();
    CHECK(false);
  } catch (const IndexError& error) {
    CHECK(error.fault() == IndexFault::locked);
  }
  CHECK_EQ(index.applied_seq(), int64_t{2});
}

TEST(a_folder_made_anew_under_an_open_index_takes_no_writes_from_it) {
  const TemporaryFolder folder;
  make_small(folder);
  IndexFolder old(folder.path(), opened());
  fs::remove_all(folder.path());
  const IndexFolder anew(folder.path(), made());
  std::mt19937_64 rng = check::fixed_rng();
  try {
    old.apply(random_step(1, 0, 9, rng).change());
    CHECK(false);
  } catch (const IndexError& error) {
    CHECK(error.fault() == IndexFault::missing);
  }
  CHECK_EQ(anew.size(), size_t{0});
}

TEST(searches_stay_exact_while_others_write_merge_and_remove) {
  const TemporaryFolder folder;
  std::mt19937_64 rng = check::fixed_rng();
  IndexFolder writer(folder.path(), made());
  const std::vector<uint8_t> kept = random_codes(16, rng);
  Step first{{}, kept, {}, 1};
  for (int64_t id = 0; id < 16; ++id) {
    first.ids.push_back(-1 - id);
  }
  writer.apply(first.change());
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::thread reader([&] {
    const IndexFolder index(folder.path(), opened());
    while (!done) {
      // Every kept code is there through all merges; while it is replaced it may be there twice, never not at all.
      std::vector<Match> found = search(index, kept, 0);
      found.erase(std::unique(found.begin(), found.end()), found.end());
      wrong += found.size() == 16 ? 0 : 1;
    }
  });
  std::thread merger([&] {
    IndexFolder index(folder.path(), opened());
    while (!done) {
      index.merge();
    }
  });
  int64_t next_id = 0;
  for (int64_t round = 0; round < 12; ++round) {
    Step step = random_step(6000, next_id, round + 2, rng);
    next_id += 6000;
    step.removed.insert(step.removed.end(), first.ids.begin(), first.ids.end());
    step.codes.insert(step.codes.end(), kept.begin(), kept.end());
    step.ids.insert(step.ids.end(), first.ids.begin(), first.ids.end());
    writer.apply(step.change());
  }
  done = true;
  reader.join();
  merger.join();
  CHECK_EQ(wrong.load(), 0);
  CHECK_EQ(search(writer, kept, 0).size(), size_t{16});
  writer.verify();
}
