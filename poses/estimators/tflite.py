"""Makes TensorFlow Lite models smaller: leaves out an output, and all that is worked out for it alone.

A model is a FlatBuffer, its fields named in
https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/compiler/mlir/lite/schema/schema.fbs. Only offsets in
it and the length of one list are changed, in place: what is left is worked out as before, bit by bit.
"""

import flatbuffers
import numpy as np
from flatbuffers import encode
from flatbuffers.table import Table

_MODEL_SUBGRAPHS, _SUBGRAPH_OUTPUTS, _SUBGRAPH_OPERATORS, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS = 2, 2, 3, 1, 2
"""Numbers of fields in the schema's tables Model, SubGraph and Operator."""


def without_output(model: bytes, output: int, *, stand_in: int) -> bytes:
    """Gives a model that does not work out one of its outputs.

    Args:
        model: A TensorFlow Lite file with one subgraph.
        output: Number of the output.
        stand_in: Number of the output that is given in its place, so that the others keep their numbers.
    """
    data = bytearray(model)
    subgraphs = _offsets(_root(data), _MODEL_SUBGRAPHS)
    assert len(subgraphs) == 1, len(subgraphs)
    subgraph = Table(data, int(subgraphs[0]))
    outputs = _numbers(subgraph, _SUBGRAPH_OUTPUTS)
    outputs[output] = outputs[stand_in]
    operators = _offsets(subgraph, _SUBGRAPH_OPERATORS)
    needed, kept = set(outputs.tolist()), []
    for place in reversed(operators):  # the schema lists operators in the order in which they run
        operator = Table(data, int(place))
        if needed.intersection(_numbers(operator, _OPERATOR_OUTPUTS).tolist()):
            needed.update(_numbers(operator, _OPERATOR_INPUTS).tolist())
            kept.append(place)
    start = _vector(subgraph, _SUBGRAPH_OPERATORS)
    _view(data, start - 4, 1)[0] = len(kept)
    slots = start + 4 * np.arange(len(kept))
    _view(data, start, len(kept))[:] = np.array(kept[::-1]) - slots
    return bytes(data)


def _root(data: bytearray) -> Table:
    return Table(data, encode.Get(flatbuffers.packer.uoffset, data, 0))


def _vector(table: Table, field: int) -> int:
    """Where a list's first element lies; its length lies in the four bytes before."""
    return table.Vector(table.Offset(4 + 2 * field))


def _numbers(table: Table, field: int) -> np.ndarray:
    """A list of numbers, to be read and written in place."""
    start = _vector(table, field)
    return _view(table.Bytes, start, int(_view(table.Bytes, start - 4, 1)[0]))


def _offsets(table: Table, field: int) -> np.ndarray:
    """Where the tables of a list lie; each is given as the way from the list's element to it."""
    ways = _numbers(table, field)
    return _vector(table, field) + 4 * np.arange(len(ways)) + ways


def _view(data: bytearray, start: int, count: int) -> np.ndarray:
    return np.frombuffer(data, "<i4", count, start)
