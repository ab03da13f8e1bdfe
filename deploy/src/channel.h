// A bounded queue between two threads; either side can end it.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

namespace fpg::runtime {

template <class T>
class Channel {
 public:
  explicit Channel(size_t size) : size_(size) {}

  // Waits for room; false if the other side no longer takes items.
  bool put(T item) {
    std::unique_lock<std::mutex> lock(mutex_);
    change_.wait(lock, [&] { return items_.size() < size_ || cancelled_; });
    if (cancelled_) return false;
    items_.push_back(std::move(item));
    change_.notify_all();
    return true;
  }

  // Ends the queue; an error is thrown in place of the next item.
  void finish(std::exception_ptr error = nullptr) {
    const std::lock_guard<std::mutex> lock(mutex_);
    finished_ = true;
    error_ = std::move(error);
    change_.notify_all();
  }

  void cancel() {
    const std::lock_guard<std::mutex> lock(mutex_);
    cancelled_ = true;
    items_.clear();
    change_.notify_all();
  }

  // The next item; nullopt at the end.
  std::optional<T> take() {
    std::unique_lock<std::mutex> lock(mutex_);
    change_.wait(lock, [&] { return !items_.empty() || finished_; });
    return pop();
  }

  // As `take`, without waiting; nullopt if there is none yet.
  std::optional<T> take_if_there() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return items_.empty() ? std::nullopt : pop();
  }

 private:
  std::optional<T> pop() {
    if (items_.empty()) {
      if (error_) std::rethrow_exception(error_);
      return std::nullopt;
    }
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    change_.notify_all();
    return item;
  }

  const size_t size_;
  std::mutex mutex_;
  std::condition_variable change_;
  std::deque<T> items_;
  bool finished_ = false;
  bool cancelled_ = false;
  std::exception_ptr error_;
};

}  // namespace fpg::runtime
