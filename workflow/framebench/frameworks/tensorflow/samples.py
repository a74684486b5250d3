"""Test samples for TensorFlow."""

import tensorflow as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError, EncodeError
from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

from framebench.frameworks._samples import GPU_TRACE, caught
from framebench.frameworks.contract import Span
from framebench.frameworks.tensorflow.inspector import spans_in

EXECUTION = "graph"


def out_of_memory() -> list[BaseException]:
    return [
        # More than 2^47 bytes, beyond the addresses of any process, even where the kernel overcommits.
        caught(lambda: tf.fill([2**48], 1.0)),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
        tf.errors.InternalError(None, None, "Failed to create cuDNN handle: CUDNN_STATUS_ALLOC_FAILED"),
        tf.errors.InternalError(None, None, "Failed copying input tensor: Dst tensor is not initialized."),
        RuntimeError("Error copying tensor to device: GPU:0. Dst tensor is not initialized."),
        DecodeError("Error parsing message with type 'tensorflow.GraphDebugInfo': Arena alloc failed"),
        EncodeError("Failed to serialize proto"),
    ]


def other_errors() -> list[BaseException]:
    return [
        caught(lambda: tf.ones(2) + tf.ones(3)),
        tf.errors.InternalError(None, None, "Blas GEMM launch failed"),
        RuntimeError("Src tensor is not initialized."),
        DecodeError("Error parsing message with type 'tensorflow.GraphDebugInfo'"),
        EncodeError("Message tensorflow.GraphDef is missing required fields: node"),
    ]


def gpu_spans() -> list[Span]:
    return spans_in(text_format.Parse(GPU_TRACE, XSpace()), "cuda")
