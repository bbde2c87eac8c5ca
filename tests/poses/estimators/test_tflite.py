from importlib.util import find_spec
from pathlib import Path

from flatbuffers.table import Table

from poses.estimators.tflite import without_output

SEGMENTATION, PRESENCE = 2, 1


def test_only_what_the_output_needs_alone_is_left_out():
    mediapipe = find_spec("mediapipe")
    model = (Path(mediapipe.origin).parent / "modules/pose_landmark/pose_landmark_full.tflite").read_bytes()
    less = without_output(model, SEGMENTATION, stand_in=PRESENCE)
    assert len(less) == len(model)
    (operators, outputs), (fewer, others) = _operators_and_outputs(model), _operators_and_outputs(less)
    assert others == [*outputs[:2], outputs[PRESENCE], *outputs[3:]]
    kept = iter(operators)
    assert all(operator in kept for operator in fewer)  # in the same order
    assert (len(operators), len(fewer)) == (332, 286)
    made = {tensor for _, of in operators for tensor in of} - {tensor for _, of in fewer for tensor in of}
    assert outputs[SEGMENTATION] in made
    assert not made & {tensor for read, _ in fewer for tensor in read}


def test_an_output_that_nothing_is_worked_out_for_alone_takes_nothing_along():
    mediapipe = find_spec("mediapipe")
    model = (Path(mediapipe.origin).parent / "modules/pose_landmark/pose_landmark_full.tflite").read_bytes()
    less = without_output(without_output(model, SEGMENTATION, stand_in=PRESENCE), SEGMENTATION, stand_in=PRESENCE)
    assert less == without_output(model, SEGMENTATION, stand_in=PRESENCE)


def _operators_and_outputs(model: bytes):
    def numbers(table, field):
        offset = table.Offset(4 + 2 * field)
        return [_number(model, table.Vector(offset) + 4 * place) for place in range(table.VectorLen(offset))]

    def tables(table, field):
        start = table.Vector(table.Offset(4 + 2 * field))
        return [Table(model, table.Indirect(start + 4 * place)) for place in range(_number(model, start - 4))]

    (subgraph,) = tables(Table(model, _number(model, 0)), 2)
    operators = [(tuple(numbers(operator, 1)), tuple(numbers(operator, 2))) for operator in tables(subgraph, 3)]
    return operators, numbers(subgraph, 2)


def _number(model: bytes, place: int) -> int:
    return int.from_bytes(model[place : place + 4], "little", signed=True)
