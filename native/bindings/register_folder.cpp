#include <nanobind/stl/string.h>

#include <memory>
#include <mutex>

#include "arrays_index.hpp"
#include "baken/index_folder.hpp"
#include "register.hpp"

namespace {

namespace nb = nanobind;

struct FaultError {
  const char* class_name;  // in baken.errors
  const char* hint;
};

FaultError error_for(baken::IndexFault fault) {
  constexpr const char* rebuild = "delete the folder; it is built again from the database";
  switch (fault) {
    case baken::IndexFault::missing: return {"IndexMissingError", "open it with reset=True to make it"};
    case baken::IndexFault::foreign: return {"IndexForeignError", "move what is not of Baken away from this folder"};
    case baken::IndexFault::newer: return {"IndexNewerError", "run the newer Baken, or delete the folder"};
    case baken::IndexFault::truncated: return {"IndexTruncatedError", rebuild};
    case baken::IndexFault::corrupt: return {"IndexCorruptError", rebuild};
    case baken::IndexFault::other_database: return {"IndexDatabaseError", rebuild};
    case baken::IndexFault::read_only: return {"IndexReadOnlyError", "let the user of Baken write into the folder"};
    case baken::IndexFault::disk_full: return {"IndexFullError", "free space on the disk; then it goes on by itself"};
    case baken::IndexFault::locked: return {"IndexLockedError", "try again, or see which process holds it"};
    case baken::IndexFault::failed: break;
  }
  return {"IndexFileError", "see the system's log for what is wrong with the disk"};
}

void raise(const baken::IndexError& error) {
  const FaultError named = error_for(error.fault());
  try {
    const nb::object type = nb::module_::import_("baken.errors").attr(named.class_name);
    const nb::object raised = type(error.what(), nb::arg("hint") = named.hint);
    PyErr_SetObject(type.ptr(), raised.ptr());
  } catch (nb::python_error& failure) {
    failure.restore();
  }
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const baken::IndexError& error) {
    raise(error);
  }
}

// An index that may be closed. Calls that run when it closes finish.
class Folder {
 public:
  Folder(const std::string& path, const std::string& database_id, bool reset, double lock_timeout_seconds, int member_bits) {
    nb::gil_scoped_release released;
    index_ = std::make_shared<baken::IndexFolder>(
        path, baken::IndexOptions{database_id, reset, lock_timeout_seconds, member_bits});
  }

  // Called with the GIL, which guards the pointer.
  std::shared_ptr<baken::IndexFolder> index() const {
    if (index_ == nullptr) {
      throw nb::value_error("the index is closed; open it again.");
    }
    return index_;
  }

  void close() { index_.reset(); }

 private:
  std::shared_ptr<baken::IndexFolder> index_;
};

template <typename Call>
auto without_gil(const Folder& folder, Call call) {
  const std::shared_ptr<baken::IndexFolder> index = folder.index();
  nb::gil_scoped_release released;
  return call(*index);
}

void add(const Folder& folder, nb::handle codes, nb::handle ids, bool sync) {
  const bindings::AnyArray code_rows = bindings::checked_codes(codes);
  const bindings::AnyArray id_array = bindings::checked_ids(ids);
  bindings::check_one_id_a_code(code_rows, id_array);
  baken::IndexChange change;
  change.codes = bindings::code_data(code_rows);
  change.ids = bindings::id_data(id_array);
  change.count = id_array.shape(0);
  change.sync = sync;
  without_gil(folder, [&](baken::IndexFolder& index) { index.apply(change); });
}

std::size_t remove_ids(const Folder& folder, nb::handle ids, bool sync) {
  const bindings::AnyArray id_array = bindings::checked_ids(ids);
  baken::IndexChange change;
  change.removed_ids = bindings::id_data(id_array);
  change.removed_count = id_array.shape(0);
  change.sync = sync;
  return without_gil(folder, [&](baken::IndexFolder& index) { return index.apply(change); });
}

std::size_t replace(const Folder& folder, nb::handle removed_ids, nb::handle codes, nb::handle ids, int64_t applied_seq,
                    bool sync) {
  const bindings::AnyArray removed = bindings::checked_ids(removed_ids);
  const bindings::AnyArray code_rows = bindings::checked_codes(codes);
  const bindings::AnyArray id_array = bindings::checked_ids(ids);
  bindings::check_one_id_a_code(code_rows, id_array);
  const baken::IndexChange change{bindings::id_data(removed), removed.shape(0),   bindings::code_data(code_rows),
                                  bindings::id_data(id_array), id_array.shape(0), applied_seq, sync};
  return without_gil(folder, [&](baken::IndexFolder& index) { return index.apply(change); });
}

void commit(const Folder& folder, int64_t applied_seq, bool sync, uint64_t applied_token) {
  baken::IndexChange change;
  change.applied_seq = applied_seq;
  change.applied_token = applied_token;
  change.sync = sync;
  without_gil(folder, [&](baken::IndexFolder& index) { index.apply(change); });
}

nb::tuple search(const Folder& folder, nb::handle codes, int radius_bits) {
  const bindings::AnyArray code_rows = bindings::checked_codes(codes);
  return bindings::columns(without_gil(folder, [&](const baken::IndexFolder& index) {
    return index.search(bindings::code_data(code_rows), code_rows.shape(0), radius_bits);
  }));
}

size_t merge(const Folder& folder, size_t bytes_per_second, bool settle) {
  return without_gil(folder, [=](baken::IndexFolder& index) { return index.merge(bytes_per_second, settle); });
}

bool merge_due(const Folder& folder, bool settle) {
  return without_gil(folder, [=](const baken::IndexFolder& index) { return index.merge_due(settle); });
}

nb::object search_nearest(const Folder& folder, nb::handle codes, int radius_bits, std::int64_t limit) {
  return bindings::nearest(codes, radius_bits, limit, [&](const baken::Question& question) {
    return without_gil(folder, [&](const baken::IndexFolder& index) { return index.search(question); });
  });
}

nb::object search_groups(const Folder& folder, nb::handle codes, std::int64_t codes_an_item,
                         const bindings::GroupsArgument& groups, std::int64_t limit, nb::handle excluded_ids,
                         bool lists_counted) {
  const auto search = [&](const baken::Question& question) {
    return without_gil(folder, [&](const baken::IndexFolder& index) { return index.search(question); });
  };
  return bindings::nearest_of_groups(codes, codes_an_item, groups, limit, excluded_ids, lists_counted, search);
}

nb::list explain(const Folder& folder, int radius_bits) {
  return bindings::plans(
      without_gil(folder, [&](const baken::IndexFolder& index) { return index.explain(radius_bits); }));
}

// Work on an index that takes many calls. It keeps the index; one call at a time.
template <typename Work>
class Running {
 public:
  explicit Running(const Folder& folder) : index_(folder.index()) {
    nb::gil_scoped_release released;
    work_ = std::make_unique<Work>(*index_);
  }

  template <typename Call>
  auto call(Call call) {
    if (work_ == nullptr) {
      throw nb::value_error("this work has ended; begin anew.");
    }
    nb::gil_scoped_release released;
    const std::lock_guard lock(mutex_);
    return call(*work_);
  }

  void close() {
    nb::gil_scoped_release released;
    work_.reset();
  }

 private:
  std::shared_ptr<baken::IndexFolder> index_;
  std::unique_ptr<Work> work_;
  std::mutex mutex_;
};

using Build = Running<baken::IndexBuild>;
using Check = Running<baken::IndexCheck>;

void build_add(Build& build, nb::handle codes, nb::handle ids) {
  const bindings::AnyArray code_rows = bindings::checked_codes(codes);
  const bindings::AnyArray id_array = bindings::checked_ids(ids);
  bindings::check_one_id_a_code(code_rows, id_array);
  build.call([&](baken::IndexBuild& work) {
    work.add(bindings::code_data(code_rows), bindings::id_data(id_array), id_array.shape(0));
  });
}

void build_finish(Build& build, int64_t applied_seq, uint64_t applied_token) {
  build.call([=](baken::IndexBuild& work) { work.finish(applied_seq, applied_token); });
  build.close();
}

size_t check_step(Check& check, size_t size_bytes) {
  return check.call([=](baken::IndexCheck& work) { return work.step(size_bytes); });
}

// Calls a method of the index without the GIL.
template <auto method>
auto call(const Folder& folder) {
  return without_gil(folder, [](baken::IndexFolder& index) { return (index.*method)(); });
}

}  // namespace

void register_folder(nb::module_& module) {
  nb::register_exception_translator(translate);
  using baken::IndexFolder;
  nb::class_<Folder>(module, "IndexFolder", nb::is_final(),
                     "A Hamming index in a folder of mapped files, shared by all processes of a machine.")
      .def(nb::init<const std::string&, const std::string&, bool, double, int>(), nb::arg("path"), nb::arg("database_id"),
           nb::arg("reset") = false, nb::arg("lock_timeout_seconds") = 30.0, nb::arg("member_bits") = 0)
      .def("add", add, nb::arg("codes").none(), nb::arg("ids").none(), nb::arg("sync") = true,
           "Add uint8[N, 32] codes under int64[N] ids; an id may repeat.")
      .def("remove", remove_ids, nb::arg("ids").none(), nb::arg("sync") = true,
           "Remove every code of the int64[M] ids and return how many codes went; unknown ids are no error.")
      .def("replace", replace, nb::arg("removed_ids").none(), nb::arg("codes").none(), nb::arg("ids").none(),
           nb::arg("applied_seq"), nb::arg("sync") = true,
           "Remove, add and commit in one step that happens whole or not at all.")
      .def("commit", commit, nb::arg("applied_seq"), nb::arg("sync") = true, nb::arg("applied_token") = 0,
           "Say that the index equals the database up to this change.")
      .def("search", search, nb::arg("codes").none(), nb::arg("radius_bits"),
           "Find every code at most radius_bits (0 to 256) from each uint8[Q, 32] query, as (query_row, id, "
           "distance_bits).")
      .def("search_nearest", search_nearest, nb::arg("codes").none(), nb::arg("radius_bits"), nb::arg("limit"),
           "As HammingIndex.search_nearest.")
      .def("search_groups", search_groups, nb::arg("codes").none(), nb::arg("codes_an_item"), nb::arg("groups"),
           nb::arg("limit"), nb::arg("excluded_ids").none(), nb::arg("lists_counted") = false,
           "As HammingIndex.search_groups.")
      .def("explain", explain, nb::arg("radius_bits"),
           "As HammingIndex.explain.")
      .def("clear", call<&IndexFolder::clear>, "Remove everything; applied_seq is -1 afterwards.")
      .def("condemn", call<&IndexFolder::condemn>,
           "Tell all processes that the index must not be trusted: applied_seq is -1 until it is cleared or built.")
      .def("merge", merge, nb::arg("bytes_per_second") = 0, nb::kw_only(), nb::arg("settle") = false,
           "Merge segments until none is due and return how many were written; others search and write meanwhile.")
      .def("merge_due", merge_due, nb::kw_only(), nb::arg("settle") = false, "Whether merge() would write something.")
      .def("verify", call<&IndexFolder::verify>, "Read everything and check every checksum.")
      .def("close", &Folder::close, "Let go of the files; repeating it does nothing.")
      .def("__len__", call<&IndexFolder::size>)
      .def_prop_ro("applied_seq", call<&IndexFolder::applied_seq>,
                   "The last change of the database that is in the index; -1 when none is.")
      .def_prop_ro("applied_token", call<&IndexFolder::applied_token>,
                   "What was committed with applied_seq; 0 when nothing was.")
      .def_prop_ro("read_only", call<&IndexFolder::read_only>, "Whether this process may only read the folder.")
      .def_prop_ro("segment_count", call<&IndexFolder::segment_count>, "How many segments a search goes through.")
      .def_prop_ro("memory_bytes", call<&IndexFolder::memory_bytes>, "Memory of this process alone, in bytes.")
      .def_prop_ro("mapped_bytes", call<&IndexFolder::mapped_bytes>,
                   "Mapped files that all processes share, in bytes.");
  nb::class_<Build>(module, "IndexBuild", nb::is_final(), "Makes a whole new index beside the one that counts.")
      .def(nb::init<const Folder&>(), nb::arg("folder"))
      .def("add", build_add, nb::arg("codes").none(), nb::arg("ids").none(),
           "Add uint8[N, 32] codes under int64[N] ids.")
      .def("finish", build_finish, nb::arg("applied_seq"), nb::arg("applied_token") = 0,
           "Put the built index in the place of everything that the folder holds.")
      .def("close", &Build::close, "Give up what is not finished; repeating it does nothing.");
  nb::class_<Check>(module, "IndexCheck", nb::is_final(), "Checks every checksum of an index, a piece at a time.")
      .def(nb::init<const Folder&>(), nb::arg("folder"))
      .def("step", check_step, nb::arg("size_bytes"), "Check up to so many bytes more and return how many; 0 at the end.");
}
