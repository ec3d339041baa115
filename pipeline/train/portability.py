"""Which operations of a graph have other bits on another machine, since `arithmetic` does not define them."""

from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from pipeline.train import arithmetic

_OF_VALUES = (
    "Abs AddN AddV2 AssignAddVariableOp AssignSubVariableOp Ceil ClipByValue DivNoNan Equal Floor Greater "
    "GreaterEqual IsFinite IsInf IsNan LeakyRelu LeakyReluGrad Less LessEqual Maximum Minimum Mul "
    "MulNoNan Neg NotEqual RealDiv Relu Relu6 Relu6Grad ReluGrad ResourceApplyAdam Round Sign Sqrt Square "
    "SquaredDifference Sub"
)
"""Of single values, as IEEE 754 defines them; Adam's step is a formula of such."""
_ALONG_AXES = "ArgMax ArgMin Max MaxPool MaxPoolGrad Mean Min Sum"
"""By Eigen, whose code is one for all processors."""
_COPIES = (
    "AssignVariableOp BroadcastTo Cast ConcatV2 Const ExpandDims Fill GatherNd GatherV2 Identity "
    "MirrorPad OneHot OnesLike Pack Pad PadV2 Placeholder PreventGradient ReadVariableOp Reshape "
    "ResourceGather ReverseV2 Select SelectV2 Shape ShapeN Slice Split SplitV Squeeze "
    "StatelessRandomNormalV2 StatelessRandomUniformV2 StatelessTruncatedNormalV2 StopGradient "
    "StridedSlice StridedSliceGrad TensorScatterUpdate Tile Transpose Unpack ZerosLike"
)
"""Of numbers, or draws."""
_EXACT = {*_OF_VALUES.split(), *_ALONG_AXES.split(), *_COPIES.split()}
_SHORT = {tf.bfloat16.as_datatype_enum, tf.float16.as_datatype_enum}


def undefined(graph: Any) -> list[str]:
    """Name the operations in a function's graph, and in those it calls, whose bits depend on the machine.

    Functions in float64 are taken as defined, since their results are rounded.
    """
    whole = graph.as_graph_def(add_shapes=True)
    nodes = [
        *_used(
            whole.node, [node.op.name for node in graph.outputs] + [op.name for op in graph.control_outputs]
        )
    ]
    for function in whole.library.function:
        nodes += _used(function.node_def, [*function.ret.values(), *function.control_ret.values()])
    return sorted({node.op for node in nodes if not _is_defined(node)})


def _used(nodes: Iterable[Any], outputs: list[str]) -> Iterator[Any]:
    """Find the nodes that outputs need: of a quotient, both gradients are traced, used or not."""
    by_name = {node.name: node for node in nodes}
    waiting = outputs
    while waiting:
        if node := by_name.pop(waiting.pop().removeprefix("^").partition(":")[0], None):
            waiting += node.input
            yield node


def _is_defined(node: Any) -> bool:
    if "MatMul" in node.op:
        return arithmetic.CHAIN in node.name.rpartition("/")[2]
    types = {node.attr[key].type for key in ("T", "dtype") if key in node.attr}
    if types & _SHORT:
        return node.op in _COPIES.split()  # the rest is as precise as the machine's products are
    if tf.float32.as_datatype_enum not in types:
        return True
    # A sum of all elements is shared among the threads.
    shapes = node.attr["_output_shapes"].list.shape
    is_single = bool(shapes) and not shapes[0].unknown_rank and all(axis.size == 1 for axis in shapes[0].dim)
    return node.op in _EXACT and not (is_single and node.op in {"Mean", "Sum"})
