"""Two LiteRT graphs as one: the second takes the output of the first.

LiteRT has no tool for it. A file is one record of lists that refer to each other by position, so
the second file's lists are appended and its positions are moved. Checked with ai-edge-litert 2.3.0.
"""

from collections.abc import Iterable


def join(first: bytes, second: bytes) -> bytes:
    """Return a file with the inputs of the first and the outputs of the second.

    Args:
        first: File with one graph and one output.
        second: File with one graph and one input, of the shape of that output.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    head, tail = (
        flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
        for content in (first, second)
    )
    (graph,), (added,) = head.subgraphs, tail.subgraphs
    (link,), (taken,) = graph.outputs, added.inputs
    num_tensors, num_buffers = len(graph.tensors), len(head.buffers)

    def move(tensors: Iterable[int] | None) -> list[int]:
        """Return the new positions of tensors; -1 is none."""
        return [
            -1 if each < 0 else int(link) if each == taken else int(each) + num_tensors
            for each in ([] if tensors is None else tensors)
        ]

    for tensor in added.tensors:
        tensor.buffer += num_buffers
    for operator in added.operators:
        operator.opcodeIndex += len(head.operatorCodes)
        operator.inputs, operator.outputs = move(operator.inputs), move(operator.outputs)
        operator.intermediates = move(operator.intermediates)
    graph.tensors += added.tensors
    graph.operators += added.operators
    graph.outputs = move(added.outputs)
    head.operatorCodes += tail.operatorCodes
    head.buffers += tail.buffers
    head.signatureDefs[0].outputs = tail.signatureDefs[0].outputs
    for output in head.signatureDefs[0].outputs:
        (output.tensorIndex,) = move([output.tensorIndex])
    return bytes(flatbuffer_utils.convert_object_to_bytearray(head))
