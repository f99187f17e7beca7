"""Instructions of the processor that numba has no words for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

SIXTEEN = 16
"""The float32 numbers of a register of AVX-512; they fill two of AVX2."""
EIGHT = 8
"""The float64 numbers of a register of AVX-512; they fill two of AVX2."""
SIXTEEN_FLOATS = ir.VectorType(ir.FloatType(), SIXTEEN)

_pointer_to: Any = cgutils.get_item_pointer
_function: Any = cgutils.get_or_insert_function
_tuple: Any = types.UniTuple


def _place(context: Any, builder: Any, kinds: Any, array: Any, row: Any, column: Any) -> Any:
    """Return the address of an element of a two-dimensional array."""
    made = context.make_array(kinds[0])(context, builder, array)
    place = [context.cast(builder, i, t, types.intp) for i, t in zip((row, column), kinds[1:], strict=True)]
    return _pointer_to(context, builder, kinds[0], made, place, wraparound=False)


def _everywhere(builder: Any, value: Any, vector: Any) -> Any:
    """Return a vector all of whose numbers are this one."""
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    picks = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, one, picks)


def _load_sixteen(context: Any, builder: Any, kinds: Any, array: Any, row: Any, column: Any) -> Any:
    """Return the float32 numbers of a row of an array from a column on."""
    pointer = builder.bitcast(_place(context, builder, kinds, array, row, column), SIXTEEN_FLOATS.as_pointer())
    return builder.load(pointer, align=types.float32.bitwidth // 8)


@intrinsic
def _prefetch(_: Any, array: Any, row: Any, column: Any) -> Any:
    """Emit LLVM's intrinsic of the name."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _place(context, builder, signature.args, *arguments)
        address, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address, word, word, word])
        to_read, into_all_caches, data = (ir.Constant(word, k) for k in (0, 3, 1))
        function = _function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [builder.bitcast(pointer, address), to_read, into_all_caches, data])
        return context.get_dummy_value()

    return types.none(array, row, column), generate


@intrinsic
def _eliminate_eight(_: Any, array: Any, row: Any, column: Any, part: Any, pivot: Any) -> Any:
    """Emit two loads, a product, a difference, a choice and a store of a vector."""
    if array != types.Array(types.float64, 2, "C") or part != types.float64:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        matrix, to, first, factor, of = arguments
        of_matrix, of_to, of_first, _, of_pivot = signature.args
        word, numbers = ir.IntType(64), ir.VectorType(ir.DoubleType(), EIGHT)
        counts = ir.VectorType(word, EIGHT)

        def place(line: Any, kind: Any) -> Any:
            pointer = _place(context, builder, (of_matrix, kind, of_first), matrix, line, first)
            return builder.bitcast(pointer, numbers.as_pointer())

        into, some, align = place(to, of_to), _everywhere(builder, factor, numbers), types.float64.bitwidth // 8
        product = builder.fmul(builder.load(place(of, of_pivot), align=align), some, flags=("contract",))
        rest = builder.fsub(builder.load(into, align=align), product, flags=("contract",))
        pivot_at, first_at = (
            context.cast(builder, i, kind, types.intp) for i, kind in ((of, of_pivot), (first, of_first))
        )
        lane = builder.sub(pivot_at, first_at)
        lanes = ir.Constant(counts, list(range(EIGHT)))
        is_pivot = builder.icmp_signed("==", _everywhere(builder, lane, counts), lanes)
        builder.store(builder.select(is_pivot, builder.fneg(some), rest), into, align=align)
        return context.get_dummy_value()

    return types.none(array, row, column, part, pivot), generate


@intrinsic
def _sum_below(_: Any, array: Any, rows: Any, first: Any, end: Any, ceiling: Any) -> Any:
    """Emit, for each row, the load of a vector, a comparison, a choice, an addition, and the count of the chosen."""
    if array != types.Array(types.float32, 2, "C") or ceiling != types.float32 or not isinstance(rows, types.UniTuple):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        of_array, of_rows, of_first, of_end, _ = signature.args
        values, those, left, right, high = arguments
        number, bits = ir.FloatType(), ir.IntType(SIXTEEN)
        numbers, lanes = SIXTEEN_FLOATS, ir.VectorType(ir.IntType(64), SIXTEEN)
        left = context.cast(builder, left, of_first, types.intp)
        width = builder.sub(context.cast(builder, right, of_end, types.intp), left)
        lane, limit = ir.Constant(lanes, list(range(SIXTEEN))), _everywhere(builder, high, numbers)
        inside = builder.icmp_signed("<", lane, _everywhere(builder, width, lanes))
        zeros, count = ir.Constant(numbers, [0.0] * SIXTEEN), ir.Constant(bits, 0)
        total, how_many = zeros, _function(builder.module, ir.FunctionType(bits, [bits]), "llvm.ctpop.i16")
        for k in range(of_rows.count):
            kinds = (of_array, of_rows.dtype, types.intp)
            row = _load_sixteen(context, builder, kinds, values, builder.extract_value(those, k), left)
            below = builder.and_(builder.fcmp_ordered("<=", row, limit), inside)
            total = builder.fadd(total, builder.select(below, row, zeros), flags=("reassoc",))
            count = builder.add(count, builder.call(how_many, [builder.bitcast(below, bits)]))
        kind = ir.FunctionType(number, [number, numbers])
        summed = _function(builder.module, kind, "llvm.vector.reduce.fadd.v16f32")
        light = builder.call(summed, [ir.Constant(number, -0.0), total], fastmath=("reassoc",))
        return context.make_tuple(builder, signature.return_type, [light, builder.uitofp(count, number)])

    return _tuple(types.float32, 2)(array, rows, first, end, ceiling), generate


@intrinsic
def _maxima(
    _: Any, smooth: Any, rows: Any, column: Any, limit: Any, slope: Any, row: Any, first: Any, part: Any
) -> Any:
    """Emit the load of a vector, a comparison with each of four beside, and one with a limit."""
    if smooth != types.Array(types.float32, 2, "C") or limit != slope or limit != smooth or part != types.float32:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        of_smooth, of_rows, of_column, of_limit, _, of_row, of_first, _ = signature.args
        image, those, place, low, rise, turn, start, way = arguments
        load = functools.partial(_load_sixteen, context, builder)
        place = context.cast(builder, place, of_column, types.intp)
        left, right = (builder.add(place, ir.Constant(place.type, side)) for side in (-1, 1))
        above, here, below = (builder.extract_value(those, k) for k in range(of_rows.count))
        kinds = (of_smooth, of_rows.dtype, types.intp)
        value = load(kinds, image, here, place)
        limits, slopes = (load((of_limit, of_row, of_first), array, turn, start) for array in (low, rise))
        grown = builder.fmul(slopes, _everywhere(builder, way, SIXTEEN_FLOATS), flags=("contract",))
        highest = builder.fcmp_ordered(">", value, builder.fadd(limits, grown, flags=("contract",)))
        for row, column, than in ((here, left, ">"), (here, right, ">="), (above, place, ">"), (below, place, ">=")):
            highest = builder.and_(highest, builder.fcmp_ordered(than, value, load(kinds, image, row, column)))
        return builder.zext(builder.bitcast(highest, ir.IntType(SIXTEEN)), ir.IntType(64))

    return types.uint64(smooth, rows, column, limit, slope, row, first, part), generate


@intrinsic
def _lowest_bit(_: Any, bits: Any) -> Any:
    """Emit LLVM's intrinsic that counts trailing zeros."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@intrinsic
def _borrowed(_: Any, arrays: Any) -> Any:
    """Leave out of each array the two words that tell whose memory it is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind, (values,) = signature.args[0], arguments
        for k, of_one in enumerate(kind):
            if isinstance(of_one, types.Array):
                one = context.make_array(of_one)(context, builder, builder.extract_value(values, k))
                one.meminfo, one.parent = (ir.Constant(ir.IntType(8).as_pointer(), None) for _ in range(2))
                values = builder.insert_value(values, one._getvalue(), k)
        return values

    return arrays(arrays), generate


prefetch = cast("Callable[..., None]", _prefetch)
"""Have the cache line of an element of a two-dimensional array, given by row and column, fetched without a wait."""
eliminate_eight = cast("Callable[..., None]", _eliminate_eight)
"""Of matrix, row, first column, part and pivot: take that part of the pivot's row from the row, over `EIGHT` columns.

In the pivot's column stands minus the part afterwards. Written as a loop, LLVM would have to prove that the two rows
are not the same before it made vector instructions."""
sum_below = cast("Callable[..., tuple[np.float32, np.float32]]", _sum_below)
"""Of array, some of its rows, first column, end and ceiling: add up what does not exceed the ceiling in the first
`SIXTEEN` of those columns, and count it. All sixteen are read, wherever the end is. LLVM makes a chain of additions of
such a loop."""
maxima = cast("Callable[..., np.uint64]", _maxima)
"""Of smoothed rows, which is above, which is looked at, which is below, and a column; of limits and slopes, a row and a
column; and a part: tell which of `SIXTEEN` pixels exceed limit + part · slope and the four beside, of equal ones the
first in reading order. There is a bit for each, the lowest for the first. LLVM makes half as wide vectors of the loop,
and a byte for each pixel."""
lowest_bit = cast("Callable[[np.uint64], np.uint64]", _lowest_bit)
"""Return which is the lowest bit that is set; there has to be one."""
borrowed = cast("Callable[[Any], Any]", _borrowed)
"""Return a tuple of arrays whose references nobody counts: who made them has to keep them. To count takes some twenty
cycles for an array, wherever it is handed on."""
