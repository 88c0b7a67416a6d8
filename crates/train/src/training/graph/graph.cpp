// CUDA graphs of libtorch behind plain functions: a piece of work on the current stream is captured once and replayed.
//
// A library of its own, loaded only where libtorch_cuda is: the program itself does not know CUDA (src/train/graph/mod.rs).

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <exception>
#include <memory>
#include <string>

namespace {

thread_local std::string reason;

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
        auto made = std::make_unique<at::cuda::CUDAGraph>();
        made->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
        *graph = made.release();
    });
}

extern "C" const char* tombola_graph_end(void* graph) {
    return tried([&] { static_cast<at::cuda::CUDAGraph*>(graph)->capture_end(); });
}

extern "C" const char* tombola_graph_replay(void* graph) {
    return tried([&] { static_cast<at::cuda::CUDAGraph*>(graph)->replay(); });
}

extern "C" const char* tombola_graph_free(void* graph) {
    return tried([&] { delete static_cast<at::cuda::CUDAGraph*>(graph); });
}

// Bytes of the GPU that nobody has taken.
extern "C" const char* tombola_graph_free_memory(int device, size_t* free) {
    return tried([&] {
        c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
        size_t total = 0;
        C10_CUDA_CHECK(cudaMemGetInfo(free, &total));
    });
}
