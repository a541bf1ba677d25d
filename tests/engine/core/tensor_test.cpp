#include "engine/core/tensor.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/file.h"

namespace plica {
namespace {

TEST(Tensor, OwnedIsAligned) {
  for (int64_t n : {0, 1, 7, 1000}) {
    const Tensor t(DataType::float32, {n});
    EXPECT_NE(t.raw(), nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(t.raw()) % 64, 0u);
    EXPECT_EQ(t.size(), n);
    EXPECT_EQ(t.bytes(), static_cast<size_t>(n) * 4);
  }
}

TEST(Tensor, Undefined) {
  const Tensor t;
  EXPECT_FALSE(t.defined());
  EXPECT_EQ(t.bytes(), 0u);
  EXPECT_FALSE(t.clone().defined());
}

TEST(Tensor, ValuesAndTypes) {
  const Tensor t = Tensor::of({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}, {2, 3});
  EXPECT_EQ(to_string(t), "float32[2, 3]");
  EXPECT_EQ(t.dim(-1), 3);
  EXPECT_EQ(t.values<float>()[5], 6.f);
  EXPECT_THROW(t.data<int32_t>(), Error);
  EXPECT_EQ(Tensor::scalar<int64_t>(7).rank(), 0);
  EXPECT_EQ(Tensor::vector({1, 2}).dims(), Dims{2});
  EXPECT_THROW(Tensor::of({1.f}, {2}), Error);
  EXPECT_THROW(Tensor(DataType::undefined, {1}), Error);
  EXPECT_THROW(Tensor(DataType::float32, {-1}), Error);
  EXPECT_THROW(Tensor(DataType::float64, {int64_t{1} << 62}), Error);
}

TEST(Tensor, CopiesShareAndClonesDoNot) {
  Tensor t = Tensor::of({1, 2}, {2});
  const Tensor copy = t, clone = t.clone();
  t.mutable_data<int32_t>()[0] = 9;
  EXPECT_EQ(copy.data<int32_t>()[0], 9);
  EXPECT_EQ(clone.data<int32_t>()[0], 1);
  EXPECT_TRUE(copy.identical_to(t));
  EXPECT_FALSE(clone.identical_to(t));
}

TEST(Tensor, ViewsKeepTheirOwner) {
  auto owner = std::make_shared<std::vector<float>>(4, 1.f);
  const std::weak_ptr<std::vector<float>> watch = owner;
  {
    const float* data = owner->data();
    Tensor reshaped = Tensor::view(DataType::float32, {4}, static_cast<const void*>(data), std::move(owner))
                          .reshaped({2, 2});
    EXPECT_FALSE(watch.expired());
    EXPECT_EQ(reshaped.data<float>(), data);
  }
  EXPECT_TRUE(watch.expired());
}

TEST(Tensor, ConstViewsAreNotWritten) {
  const std::vector<float> constant(2, 1.f);
  std::vector<float> variable(2, 1.f);
  EXPECT_THROW(Tensor::view(constant, {2}).mutable_raw(), Error);
  Tensor::view(variable, {2}).mutable_data<float>()[1] = 5;
  EXPECT_EQ(variable[1], 5);
  EXPECT_THROW(Tensor::view(variable, {3}), Error);
  EXPECT_THROW(Tensor::view(DataType::float64, {int64_t{1} << 62}, static_cast<const void*>(constant.data())),
               Error);
}

TEST(Tensor, Strings) {
  Tensor t(DataType::string, {2});
  EXPECT_EQ(t.data<std::string>()[1], "");
  t.mutable_data<std::string>()[1] = std::string(100, 'x');
  const Tensor clone = t.clone();
  EXPECT_TRUE(clone.identical_to(t));
  t.mutable_data<std::string>()[0] = "y";
  EXPECT_FALSE(clone.identical_to(t));
  EXPECT_EQ(t.bytes(), 0u);
}

TEST(Tensor, ReshapedKeepsTheCount) {
  const Tensor t = Tensor::zeros(DataType::int8, {2, 6});
  EXPECT_EQ(t.reshaped({3, 4}).raw(), t.raw());
  EXPECT_THROW(t.reshaped({5}), Error);
}

TEST(Tensor, IdenticalMeansBytes) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(Tensor::scalar(nan).identical_to(Tensor::scalar(nan)));
  EXPECT_FALSE(Tensor::scalar(0.f).identical_to(Tensor::scalar(-0.f)));
  EXPECT_FALSE(Tensor::of({1.f}, {1}).identical_to(Tensor::scalar(1.f)));
  EXPECT_TRUE(
      Tensor::zeros(DataType::float32, {0, 3}).identical_to(Tensor::zeros(DataType::float32, {0, 3})));
}

// ---- in a file

class TensorInFile : public testing::Test {
 protected:
  TensorInFile() {
    std::vector<int32_t> numbers(5000);
    std::iota(numbers.begin(), numbers.end(), 7);
    const auto bytes = std::as_bytes(std::span(numbers));
    AtomicFile out(path_);
    out.write("x");  // so that the elements are not aligned in the file
    out.write(bytes);
    out.commit();
    range_ = {ReadableFile::open(path_), 1, bytes.size()};
    expected_ = Tensor::of(numbers, {50, 100});
  }
  ~TensorInFile() override { std::filesystem::remove(path_); }

  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("plica-tensor-" + std::to_string(::getpid()));
  FileRange range_;
  Tensor expected_;
};

TEST_F(TensorInFile, IsReadOnceForAllCopies) {
  const Tensor t = Tensor::in_file(DataType::int32, {50, 100}, range_);
  const Tensor copy = t;
  const Tensor flat = t.reshaped({5000});
  EXPECT_EQ(t.bytes(), 20000u);
  ASSERT_NE(t.unread(), nullptr);
  EXPECT_EQ(t.buffer_id(), flat.buffer_id());
  EXPECT_TRUE(t.identical_to(copy));
  EXPECT_NE(t.unread(), nullptr);
  EXPECT_EQ(flat.data<int32_t>()[4999], 5006);
  EXPECT_EQ(t.unread(), nullptr);
  EXPECT_EQ(copy.raw(), flat.raw());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(t.raw()) % 64, 0u);
  EXPECT_TRUE(copy.identical_to(expected_));
  EXPECT_NE(copy.buffer_id(), expected_.buffer_id());
}

TEST_F(TensorInFile, ACloneIsReadForItself) {
  const Tensor t = Tensor::in_file(DataType::int32, {50, 100}, range_);
  Tensor clone = t.clone();
  EXPECT_TRUE(clone.identical_to(expected_));
  EXPECT_TRUE(t.in_memory().identical_to(expected_));
  EXPECT_NE(t.unread(), nullptr);
  EXPECT_EQ(t.in_memory().unread(), nullptr);
  clone.mutable_data<int32_t>()[0] = -1;
  EXPECT_TRUE(t.identical_to(expected_));
  EXPECT_EQ(t.in_memory().raw(), t.raw());
  EXPECT_THROW(Tensor(t).mutable_raw(), Error);
}

TEST_F(TensorInFile, IsComparedWithoutKeepingIt) {
  const Tensor t = Tensor::in_file(DataType::int32, {50, 100}, range_);
  EXPECT_TRUE(t.identical_to(expected_));
  EXPECT_TRUE(expected_.identical_to(t));
  EXPECT_TRUE(t.identical_to(Tensor::in_file(DataType::int32, {50, 100}, range_)));
  for (const size_t at : {0, 1023, 1024, 1025, 4999}) {
    Tensor other = expected_.clone();
    other.mutable_data<int32_t>()[at] ^= 1;
    EXPECT_FALSE(t.identical_to(other)) << at;
    EXPECT_FALSE(other.identical_to(t)) << at;
  }
  range_.offset = 0;
  EXPECT_FALSE(t.identical_to(Tensor::in_file(DataType::int32, {50, 100}, range_)));
  EXPECT_NE(t.unread(), nullptr);
}

TEST_F(TensorInFile, IsCheckedAgainstItsRange) {
  EXPECT_THROW(Tensor::in_file(DataType::int32, {50, 101}, range_), Error);
  EXPECT_THROW(Tensor::in_file(DataType::string, {50, 100}, range_), Error);
  EXPECT_THROW(Tensor::in_file(DataType::int32, {50, 100}, range_).data<float>(), Error);
}

TEST_F(TensorInFile, AnErrorLeavesItUnread) {
  const Tensor t = Tensor::in_file(DataType::int32, {50, 100}, range_);
  std::filesystem::resize_file(path_, 100);
  EXPECT_THROW(t.raw(), Error);
  EXPECT_THROW(t.clone(), Error);
  EXPECT_NE(t.unread(), nullptr);
}

TEST_F(TensorInFile, FromSeveralThreads) {
  for (int round = 0; round < 20; ++round) {
    const Tensor t = Tensor::in_file(DataType::int32, {50, 100}, range_);
    std::vector<const void*> seen(8);
    std::vector<std::thread> threads;
    for (const void*& s : seen) threads.emplace_back([&s, t] { s = t.raw(); });
    for (std::thread& thread : threads) thread.join();
    for (const void* s : seen) EXPECT_EQ(s, t.raw());
    EXPECT_TRUE(t.identical_to(expected_));
  }
}

}  // namespace
TEST(Tensor, ContainersHoldTensors) {
  std::vector<float> callers = {1, 2};
  const Tensor sequence =
      Tensor::container(DataType::sequence, {Tensor::view(callers, {2}), Tensor::scalar<int64_t>(3)});
  EXPECT_EQ(to_string(sequence), "sequence[2]");
  EXPECT_EQ(sequence.bytes(), 0u);
  ASSERT_EQ(sequence.elements().size(), 2u);
  EXPECT_EQ(sequence.elements()[0].raw(), callers.data());
  const Tensor owned = sequence.owned();
  EXPECT_NE(owned.elements()[0].raw(), callers.data()) << "somebody else's memory is copied";
  EXPECT_EQ(owned.elements()[1].raw(), sequence.elements()[1].raw()) << "what is owned is shared";
  EXPECT_NE(sequence.clone().elements()[1].raw(), sequence.elements()[1].raw());
  EXPECT_TRUE(owned.identical_to(sequence));
  callers[0] = 5;
  EXPECT_FALSE(owned.identical_to(sequence));
  EXPECT_TRUE(Tensor(DataType::optional, {0}).elements().empty());
  EXPECT_THROW(Tensor::scalar(1.f).elements(), Error);
  EXPECT_THROW(Tensor::container(DataType::string, {}), Error);
}

}  // namespace plica
