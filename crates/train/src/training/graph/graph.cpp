// CUDA graphs of libtorch behind plain functions: a piece of work on the current stream is captured once and replayed.
//
// A library of its own, loaded only where libtorch_cuda is: the program itself does not know CUDA (crates/train/src/training/graph/mod.rs).

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <exception>
#include <memory>
#include <mutex>
#include <string>

namespace {

thread_local std::string reason;

// libtorch notes each graph at its generator of random numbers, which all threads share, and locks nothing: graphs are begun,
// ended and freed by one thread at a time. A capture holds this from its begin to its end.
std::mutex one_at_a_time;

template <typename Work>
const char* tried(Work work) {
    try {
        work();
        return nullptr;
    } catch (const std::exception& error) {
        reason = error.what();
        return reason.c_str();
    }
}

}  // namespace

// Each returns null, or the reason why it failed, which lives until the next call on this thread.

// From now on this thread computes on a stream of its own: the default stream cannot be captured.
extern "C" const char* tombola_graph_own_stream(int device) {
    return tried([&] {
        c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)).synchronize();
        c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(false, static_cast<c10::DeviceIndex>(device)));
    });
}

// Other threads may go on allocating: the mode is of this thread alone.
extern "C" const char* tombola_graph_begin(void** graph) {
    return tried([&] {
        // libtorch would notice only after the generator is set to capturing, and leave the generator so.
        TORCH_CHECK(c10::cuda::getCurrentCUDAStream() != c10::cuda::getDefaultCUDAStream(),
                    "this thread computes on the default stream, which cannot be captured");
        std::unique_lock<std::mutex> lock(one_at_a_time);
        auto made = std::make_unique<at::cuda::CUDAGraph>();
        made->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
        *graph = made.release();
        lock.release();
    });
}

// Of the thread whose `begin` succeeded, once.
extern "C" const char* tombola_graph_end(void* graph) {
    std::unique_lock<std::mutex> lock(one_at_a_time, std::adopt_lock);
    return tried([&] { static_cast<at::cuda::CUDAGraph*>(graph)->capture_end(); });
}

extern "C" const char* tombola_graph_replay(void* graph) {
    return tried([&] { static_cast<at::cuda::CUDAGraph*>(graph)->replay(); });
}

extern "C" const char* tombola_graph_free(void* graph) {
    return tried([&] {
        std::lock_guard<std::mutex> lock(one_at_a_time);
        delete static_cast<at::cuda::CUDAGraph*>(graph);
    });
}

// Bytes of the GPU that nobody has taken.
extern "C" const char* tombola_graph_free_memory(int device, size_t* free) {
    return tried([&] {
        c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
        size_t total = 0;
        C10_CUDA_CHECK(cudaMemGetInfo(free, &total));
    });
}
