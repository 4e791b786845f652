// A test harness in one header: TEST(name) { CHECK(x); CHECK_EQ(a, b); CHECK_THROWS(type, expression); } and a main.
// Include it in exactly one file of an executable.
#pragma once

#include <cstdint>
#include <cstdio>
#include <exception>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace check {

struct Test {
  const char* name;
  void (*body)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

inline int& failures_in_this_test() {
  static int count = 0;
  return count;
}

struct Register {
  Register(const char* name, void (*body)()) { tests().push_back({name, body}); }
};

inline void fail(const char* file, int line, const std::string& what) {
  std::printf("%s:%d: %s\n", file, line, what.c_str());
  ++failures_in_this_test();
}

template <typename Value>
void show(std::ostream& out, const Value& value) {
  if constexpr (std::is_integral_v<Value>) {
    out << +value;  // a uint8_t is a number here, never a character
  } else {
    out << value;
  }
}

template <typename Left, typename Right>
void equal(const char* file, int line, const char* text, const Left& left, const Right& right) {
  if (left == right) {
    return;
  }
  std::ostringstream what;
  what << text << ": ";
  show(what, left);
  what << " is not ";
  show(what, right);
  fail(file, line, what.str());
}

// The same numbers in every run: a failure can be repeated.
inline std::mt19937_64 fixed_rng(uint64_t seed = 20180415) { return std::mt19937_64(seed); }

inline bool passes(const Test& test) {
  failures_in_this_test() = 0;
  try {
    test.body();
  } catch (const std::exception& error) {
    fail(test.name, 0, std::string("threw ") + error.what());
  }
  if (failures_in_this_test() != 0) {
    std::printf("FAILED %s\n", test.name);
  }
  return failures_in_this_test() == 0;
}

inline int run_all() {
  int passed = 0;
  int failed = 0;
  for (const Test& test : tests()) {
    ++(passes(test) ? passed : failed);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace check

#define TEST(name)                                                \
  static void test_##name();                                      \
  static const check::Register register_##name(#name, test_##name); \
  static void test_##name()

#define CHECK(condition)                                          \
  do {                                                            \
    if (!(condition)) check::fail(__FILE__, __LINE__, #condition); \
  } while (false)

#define CHECK_EQ(left, right) check::equal(__FILE__, __LINE__, #left " == " #right, (left), (right))

#define CHECK_THROWS(type, expression)                                                  \
  do {                                                                                  \
    bool thrown = false;                                                                \
    try {                                                                               \
      (void)(expression);                                                               \
    } catch (const type&) {                                                             \
      thrown = true;                                                                    \
    }                                                                                   \
    if (!thrown) check::fail(__FILE__, __LINE__, #expression " throws no " #type);      \
  } while (false)

int main() { return check::run_all(); }
