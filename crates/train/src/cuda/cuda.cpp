// What Tombola asks of CUDA, behind plain functions: which GPU and stream a thread computes on, work that is captured once and
// replayed, the memory of a GPU, its name.
//
// A library of its own, loaded only where libtorch_cuda is: the program itself does not know CUDA (crates/train/src/cuda/shim.rs).
// What is called when, and on which thread, is decided in Rust.

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <string>

namespace {

thread_local std::string reason;

// libtorch notes each graph at its generator of random numbers, which all threads share, and locks nothing: graphs are begun,
// ended and freed by one thread at a time. A capture holds this from its begin to its end. Memory that is kept in reserve is
// given back under the same lock, because that frees memory, which must not happen beside a capture.
std::mutex one_at_a_time;

// A graph, the GPU that it is of, and the memory that it was captured into.
struct Graph {
    c10::DeviceIndex device;
    c10::cuda::MempoolId_t pool;
    at::cuda::CUDAGraph graph;
};

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

// Ends what libtorch has begun for a capture that it could not begin or end: it would go on giving memory of the capture out, by a
// function of the graph that is gone.
void leave_pool(const Graph& graph) {
    tried([&] {
        c10::cuda::CUDACachingAllocator::endAllocateToPool(graph.device, graph.pool);
        c10::cuda::CUDACachingAllocator::releasePool(graph.device, graph.pool);
    });
}

c10::DeviceIndex index(int device) { return static_cast<c10::DeviceIndex>(device); }

}  // namespace

// Each returns null, or the reason why it failed, which lives until the next call on this thread.

// A stream of its own, for good: those of libtorch's pool are 32, given out in turn, so that two threads may meet on one.
extern "C" const char* tombola_cuda_new_stream(int device, void** stream) {
    return tried([&] {
        c10::cuda::CUDAGuard guard(index(device));
        cudaStream_t made = nullptr;
        C10_CUDA_CHECK(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
        *stream = made;
    });
}

// From now on this thread computes on that GPU and stream, once what it asked for before is done.
extern "C" const char* tombola_cuda_use(int device, void* stream) {
    return tried([&] {
        c10::cuda::set_device(index(device));
        c10::cuda::getCurrentCUDAStream(index(device)).synchronize();
        auto own = c10::cuda::getStreamFromExternal(static_cast<cudaStream_t>(stream), index(device));
        c10::cuda::setCurrentCUDAStream(own);
    });
}

// Other threads may go on allocating: the mode is of this thread alone.
extern "C" const char* tombola_cuda_begin(int device, void** graph) {
    return tried([&] {
        c10::cuda::CUDAGuard guard(index(device));
        // libtorch would notice only after the generator is set to capturing, and leave the generator so.
        TORCH_CHECK(c10::cuda::getCurrentCUDAStream() != c10::cuda::getDefaultCUDAStream(),
                    "this thread computes on the default stream, which cannot be captured");
        std::unique_lock<std::mutex> lock(one_at_a_time);
        auto made = std::make_unique<Graph>();
        made->device = index(device);
        made->pool = at::cuda::graph_pool_handle();
        try {
            made->graph.capture_begin(made->pool, cudaStreamCaptureModeThreadLocal);
        } catch (...) {
            leave_pool(*made);
            throw;
        }
        *graph = made.release();
        lock.release();
    });
}

// Of the thread whose `begin` succeeded, once.
extern "C" const char* tombola_cuda_end(void* graph) {
    std::unique_lock<std::mutex> lock(one_at_a_time, std::adopt_lock);
    auto* own = static_cast<Graph*>(graph);
    const char* failed = tried([&] {
        c10::cuda::CUDAGuard guard(own->device);
        own->graph.capture_end();
    });
    if (failed != nullptr) {
        const std::string first = reason;
        leave_pool(*own);
        reason = first;
        return reason.c_str();
    }
    return nullptr;
}

extern "C" const char* tombola_cuda_replay(void* graph) {
    return tried([&] { static_cast<Graph*>(graph)->graph.replay(); });
}

// Once all that was asked for is done: the GPU may still read from the memory of the graph. That memory is given back, and no other:
// the reserve of other trainings stays theirs.
extern "C" const char* tombola_cuda_free(void* graph) {
    return tried([&] {
        std::lock_guard<std::mutex> lock(one_at_a_time);
        std::unique_ptr<Graph> own(static_cast<Graph*>(graph));
        c10::cuda::CUDAGuard guard(own->device);
        c10::cuda::getCurrentCUDAStream().synchronize();
        own->graph.reset();
        c10::cuda::CUDACachingAllocator::emptyCache(own->pool);
    });
}

// Gives back what libtorch keeps in reserve: what belonged to graphs that are freed can be used by nothing else.
extern "C" const char* tombola_cuda_empty(void) {
    return tried([&] {
        std::lock_guard<std::mutex> lock(one_at_a_time);
        c10::cuda::CUDACachingAllocator::emptyCache();
    });
}

// Bytes of the GPU that nobody has taken, and all of its bytes.
extern "C" const char* tombola_cuda_memory(int device, size_t* free, size_t* total) {
    return tried([&] {
        c10::cuda::CUDAGuard guard(index(device));
        C10_CUDA_CHECK(cudaMemGetInfo(free, total));
    });
}

// The model, cut to `size` bytes with the 0 at its end.
extern "C" const char* tombola_cuda_model(int device, char* name, size_t size) {
    return tried([&] {
        cudaDeviceProp found;
        C10_CUDA_CHECK(cudaGetDeviceProperties(&found, device));
        std::strncpy(name, found.name, size);
        name[size - 1] = 0;
    });
}
